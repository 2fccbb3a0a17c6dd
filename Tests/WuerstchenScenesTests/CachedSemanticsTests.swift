import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenScenes
import WuerstchenTraining
import _WuerstchenTestSupport

@Suite("Cached latents") struct CachedSemanticsTests {
    private let folder: TemporaryFolder
    private let compressor: SemanticCompressor
    private let scenes = SceneImages(seed: 1, crop: 64)

    init() throws {
        folder = try TemporaryFolder()
        compressor = try SemanticCompressor(
            architecture: .residual, parameters: RandomParameters(seed: 4))
    }

    private var file: URL { folder.url.appendingPathComponent("latents.safetensors") }

    /// The latents of some scenes, and how many of them were made just now.
    private func semantics(
        _ scenes: SceneImages? = nil, count: Int = 3, _ compressor: SemanticCompressor? = nil
    ) throws -> (source: CachedSemantics, made: Int) {
        var made = 0
        let source = try CachedSemantics(
            of: scenes ?? self.scenes, count: count, compressor: compressor ?? self.compressor,
            file: file
        ) { made = $0 }
        return (source, made)
    }

    @Test("are made once")
    func once() throws {
        let first = try semantics()
        let second = try semantics()
        #expect(first.made == 3 && second.made == 0)
        let (a, b) = (
            try first.source.semantics(7, count: 5), try second.source.semantics(7, count: 5)
        )
        #expect(a.latents.shape == [5, 1, 1, 16] && a.latents.elements == b.latents.elements)
        #expect(a.captions == b.captions)
    }

    @Test("of other scenes or of another compressor are made anew")
    func others() throws {
        _ = try semantics()
        var seed = scenes
        seed.seed = 2
        var split = scenes
        split.split = .heldOut
        var crop = scenes
        crop.crop = 48
        for other in [seed, split, crop, scenes] { #expect(try semantics(other).made == 3) }
        #expect(try semantics(count: 2).made == 2)
        let before = try semantics(count: 2).source.semantics(7, count: 5)
        let trained = try SemanticCompressor(
            architecture: .residual, parameters: RandomParameters(seed: 5))
        let (other, made) = try semantics(count: 2, trained)
        #expect(made == 2)
        #expect(try other.semantics(7, count: 5).latents.elements != before.latents.elements)
    }

    @Test("leave a file alone that is something else, and name one that is damaged")
    func foreign() throws {
        try Data("a letter".utf8).write(to: file)
        expectError(.malformedFile, file.path, "move it away") { _ = try semantics() }
        #expect(try Data(contentsOf: file) == Data("a letter".utf8))
        try FileManager.default.removeItem(at: file)
        _ = try semantics()
        let digest = try Safetensors(contentsOf: file).metadata
        let few = Tensor(repeating: 0, [2, 1, 1, 16])
        try Safetensors.write(
            [
                Safetensors.Source(name: "latents", elementType: .f32, shape: few.shape.array) {
                    write in
                    try few.withUnsafeElements { try write(UnsafeRawBufferPointer($0)) }
                }
            ], metadata: digest, to: file)
        expectError(.malformedFile, file.path, "damaged") { _ = try semantics() }
    }
}
