import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// Architectures at the edges of what configurations can say: they run, or are refused by name.
@Suite("Odd architectures") struct ArchitectureTests {
    @Test("Stage A of any levels and patch size", arguments: [1, 2, 4], [1, 2, 3])
    func stageA(levels: Int, patchSize: Int) throws {
        var configuration = StageA.Configuration()
        configuration.levels = levels
        configuration.patchSize = patchSize
        configuration.bottleneckBlocks = 1
        configuration.channels = 8
        configuration.latentChannels = 3
        configuration.codes = 1
        let stage = try StageA(configuration: configuration, parameters: RandomParameters(seed: 4))
        let unit = patchSize << (levels - 1)
        #expect(stage.pixelsPerPosition == unit)
        let latent = try stage.encode(Tensor(repeating: 0.25, [2, unit, 3 * unit, 3]))
        #expect(latent.shape == [2, 1, 3, 3])
        #expect(try stage.decode(unscaled: latent).shape == [2, unit, 3 * unit, 3])
        #expect(stage.quantize(latent).indices == [0, 0, 0, 0, 0, 0])
    }

    @Test(
        "Stage B of any order of blocks",
        arguments: [
            ["C"], ["CTA"], ["ATC"], ["T"], [""], ["CT", "TA"], ["TCA", "A", ""], ["", "", "C"],
            ["CCC", "AC"],
        ])
    func blockTypes(_ types: [String]) throws {
        try check {
            $0.blockTypes = types
            $0.channels = types.indices.map { 4 + 4 * $0 }
            $0.heads = types.map { _ in 2 }
            $0.blocks = types.map { _ in 2 }
            $0.injectsSemantics = types.indices.map { $0 % 2 == 0 }
        }
    }

    @Test("Stage B of any kernel", arguments: [1, 3, 5, 7])
    func kernels(kernel: Int) throws {
        try check { $0.kernelSize = kernel }
    }

    @Test("Stage B of any patch size", arguments: [1, 2, 3])
    func patches(patch: Int) throws {
        try check { $0.patchSize = patch }
    }

    @Test("timestep embeddings of any width from 4 on", arguments: [4, 5, 7, 64])
    func timesteps(width: Int) throws {
        try check { $0.timestepChannels = width }
        var configuration = StageC.Configuration()
        configuration.channels = 6
        configuration.heads = 6
        configuration.depth = 1
        configuration.latentChannels = 1
        configuration.textChannels = 1
        configuration.timestepChannels = width
        let stage = try StageC(configuration: configuration, parameters: RandomParameters(seed: 4))
        let noise = try stage.predictNoise(
            Tensor(repeating: 0.5, [2, 1, 1, 1]), times: [0, 1],
            conditioning: stage.prepare(text: Tensor(repeating: 1, [1, 1, 1])))
        #expect(noise.shape == [2, 1, 1, 1] && noise.isFinite)
    }

    @Test("a level that does not see the semantic latent, and one that alone does")
    func semantics() throws {
        try check { $0.injectsSemantics = [false, false] }
        try check { $0.injectsSemantics = [false, true] }
    }

    @Test("Stage B runs only where every level is whole")
    func sides() throws {
        let stage = try network { _ in }
        // Folded by 2 and halved once: multiples of 4 of 2.7 times the side.
        for side in 1...40 {
            let latent = Int(Double(side) * 2.7)
            #expect(stage.latentSide(forSemanticSide: side) == (latent % 4 == 0 ? latent : nil))
        }
        #expect(stage.latentSide(forSemanticSide: 0) == nil)
        #expect(stage.latentSide(forSemanticSide: -3) == nil)
        expectError(.invalidRequest, "1×3", "latentSide", "3×3") {
            _ = try stage.prepare(semantic: Tensor(repeating: 0, [1, 3, 1, 5]), text: nil)
        }
    }

    @Test("Stage B refuses latents of other channels and texts that do not divide the batch")
    func stageBInputs() throws {
        let stage = try network { _ in }
        let text = TextEmbedding<StageB>(prompts: Tensor(repeating: 0, [2, 3, 6]))
        expectError(.invalidRequest, "5 channels", "4") {
            _ = try stage.sample(
                SemanticLatent(values: Tensor(repeating: 0, [2, 3, 3, 4])), text: text, seed: 0)
        }
        expectError(.invalidRequest, "2 prompts for 3") {
            _ = try stage.sample(
                SemanticLatent(values: Tensor(repeating: 0, [3, 3, 3, 5])), text: text, seed: 0)
        }
    }

    private func network(_ change: (inout StageB.Configuration) -> Void) throws -> StageB {
        var configuration = StageB.Configuration()
        configuration.channels = [4, 6]
        configuration.heads = [2, 3]
        configuration.blocks = [1, 1]
        configuration.blockTypes = ["CT", "CTA"]
        configuration.injectsSemantics = [true, true]
        configuration.conditioningChannels = 8
        configuration.semanticChannels = 5
        configuration.textChannels = 6
        configuration.timestepChannels = 8
        change(&configuration)
        return try StageB(
            configuration: configuration, parameters: RandomParameters(seed: 4),
            latentSpace: SemanticLatentSpace(latentsPerPosition: 2.7))
    }

    /// The network runs, and each image of a batch as it does alone.
    private func check(_ change: (inout StageB.Configuration) -> Void) throws {
        let stage = try network(change)
        let unit = stage.configuration.patchSize << (stage.configuration.channels.count - 1)
        let side = try #require(
            (1...64).first { stage.latentSide(forSemanticSide: $0) != nil })
        let latentSide = try #require(stage.latentSide(forSemanticSide: side))
        #expect(latentSide % unit == 0)
        let channels = stage.configuration.semanticChannels
        let semantic = SemanticLatent(
            values: Tensor(
                (0..<2 * side * side * channels).map { Float($0 % 13) / 13 },
                [2, side, side, channels]))
        let text = TextEmbedding<StageB>(
            prompts: Tensor(repeating: 0.5, [1, 3, 6]), negatives: Tensor(repeating: 0, [1, 3, 6]))
        let options = SamplingOptions(timesteps: try Timesteps(count: 1), guidance: 2)
        let both = try stage.sample(semantic, text: text, seed: 1, options: options).values
        #expect(both.shape == [2, latentSide, latentSide, 4] && both.isFinite)
        let second = try stage.sample(
            SemanticLatent(values: semantic.values[1..<2]), text: text, seed: 2, options: options)
        #expect(second.values.elements == both[1..<2].elements)
    }
}
