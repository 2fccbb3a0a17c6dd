import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenScenes
import WuerstchenTraining
import _WuerstchenTestSupport

@Suite("Encoded scenes") struct EncodedScenesTests {
    private let folder: TemporaryFolder
    private let compressor: SemanticCompressor
    private let stageA: StageA
    private let scenes = SceneImages(seed: 1, crop: 64)

    init() throws {
        folder = try TemporaryFolder()
        compressor = try SemanticCompressor(
            architecture: .residual, parameters: RandomParameters(seed: 4))
        stageA = try Self.stageA(seed: 5)
    }

    private static func stageA(seed: UInt64) throws -> StageA {
        var configuration = StageA.Configuration()
        (configuration.channels, configuration.bottleneckBlocks, configuration.codes) = (8, 1, 4)
        return try StageA(configuration: configuration, parameters: RandomParameters(seed: seed))
    }

    private var file: URL { folder.url.appendingPathComponent("scenes.safetensors") }

    /// Some scenes, and how many of them were encoded just now.
    private func encoded(
        _ scenes: SceneImages? = nil, count: Int = 17, _ stageA: StageA? = nil
    ) throws -> (source: EncodedScenes, made: Int) {
        var made = 0
        let source = try EncodedScenes(
            of: scenes ?? self.scenes, count: count, stageA: stageA ?? self.stageA,
            compressor: compressor, file: file
        ) { made = $0 }
        return (source, made)
    }

    @Test("are what the networks make of the scenes, to 16 bits")
    func values() throws {
        let source = try encoded().source
        let batch = try source.encoded(7, count: 24)
        #expect(batch.semantic.shape == [24, 1, 1, 16] && batch.latents.shape == [24, 16, 16, 4])
        let labels = source.labels(7, count: 24)
        #expect(labels.count == 24 && batch.captions.count == 24)
        // Each row is that of a scene with the attributes that its label names.
        let pixels = scenes.batch(0, count: 17).pixels
        let (a, b) = (
            try stageA.latent(of: pixels).values, try compressor.embed(compressor.reduced(pixels))
        )
        for row in 0..<24 {
            let scene = (0..<17).min { x, y in
                (a[x..<x + 1] - batch.latents[row..<row + 1]).meanSquare().elements[0]
                    < (a[y..<y + 1] - batch.latents[row..<row + 1]).meanSquare().elements[0]
            }
            let found = try #require(scene)
            for (wanted, got) in [(a, batch.latents), (b, batch.semantic)] {
                for (x, y) in zip(
                    wanted[found..<found + 1].elements, got[row..<row + 1].elements)
                { #expect(abs(x - y) <= max(abs(x) / 1024, 1e-6)) }
            }
            #expect(labels[row].classes == scenes.example(found).labels.classes)
        }
    }

    @Test("are made once, and anew for other scenes or another Stage A")
    func once() throws {
        let first = try encoded()
        let second = try encoded()
        #expect(first.made == 17 && second.made == 0)
        let (a, b) = (try first.source.encoded(3, count: 5), try second.source.encoded(3, count: 5))
        #expect(a.latents.elements == b.latents.elements && a.captions == b.captions)
        var seed = scenes
        seed.seed = 2
        #expect(try encoded(seed).made == 17)
        #expect(try encoded(count: 5).made == 5)
        #expect(try encoded(nil, count: 5, Self.stageA(seed: 6)).made == 5)
    }

    @Test("leave a file alone that is something else")
    func foreign() throws {
        try Data("a letter".utf8).write(to: file)
        expectError(.malformedFile, file.path, "move it away") { _ = try encoded() }
        #expect(try Data(contentsOf: file) == Data("a letter".utf8))
    }
}
