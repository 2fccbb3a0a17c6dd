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

    @Test("of other scenes or of another compressor are refused")
    func others() throws {
        _ = try semantics()
        var seed = scenes
        seed.seed = 2
        var split = scenes
        split.split = .heldOut
        var crop = scenes
        crop.crop = 48
        expectError(.malformedFile, file.path, "seed 1", "seed 2", "delete it") {
            _ = try semantics(seed)
        }
        expectError(.malformedFile, "training", "heldOut", "delete it") {
            _ = try semantics(split)
        }
        expectError(.malformedFile, "64", "48", "delete it") { _ = try semantics(crop) }
        expectError(.malformedFile, "2 scenes", "delete it") { _ = try semantics(count: 2) }
        let trained = try SemanticCompressor(
            architecture: .residual, parameters: RandomParameters(seed: 5))
        expectError(.malformedFile, "this compressor", "delete it") {
            _ = try semantics(nil, trained)
        }
        #expect(try semantics().made == 0)
    }

    @Test("that do not say of which scenes they are, are known by the first of them")
    func older() throws {
        _ = try semantics()
        let values = try CheckpointParameters(contentsOf: file).values()
        let latents = try #require(values["latents"])
        try Safetensors.write(
            [
                Safetensors.Source(
                    name: "latents", elementType: .f32, shape: latents.shape.array
                ) { write in
                    try latents.withUnsafeElements { try write(UnsafeRawBufferPointer($0)) }
                }
            ], to: file)
        #expect(try semantics().made == 0)
        var other = scenes
        other.seed = 2
        expectError(.malformedFile, "delete it") { _ = try semantics(other) }
    }
}
