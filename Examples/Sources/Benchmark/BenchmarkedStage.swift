import Wuerstchen
import WuerstchenScenes
import WuerstchenTraining

/// A diffusion stage with inputs of random numbers, for images of any size.
protocol BenchmarkedStage: CascadeStage {
    /// The published architecture.
    static var published: Configuration { get }
    /// The published widths with few blocks.
    static var shallow: Configuration { get }
    /// The miniature's architecture.
    static var miniature: Configuration { get }
    /// What random weights depend on.
    static var seed: UInt64 { get }
    /// FLOP of an image of 1024×1024, as published: linear layers, convolutions and attention.
    static var flops: Double { get }
    /// What its training is to multiply the input with, and does not yet when it begins.
    static var goal: Float { get }

    /// Conditioning for square images, a text for each.
    ///
    /// - Parameters:
    ///   - side: Positions of a semantic latent's side.
    ///   - batch: Images.
    ///   - tokens: Tokens of a text.
    ///   - isGuided: Whether it covers twice the batch, for guidance.
    /// - Returns: The conditioning.
    /// - Throws: What preparing it throws.
    func conditioning(
        side: Int, batch: Int, tokens: Int, isGuided: Bool
    ) throws -> Conditioning
}

extension BenchmarkedStage {
    /// The published network with random weights.
    static func withRandomWeights(_ precision: Precision) throws -> Self {
        try StageBlueprint(configuration: published)
            .stage(RandomParameters(seed: seed), precision: precision)
    }

    /// The shape of latents, for images of so many positions of a semantic latent's side.
    func shape(side: Int, batch: Int) throws -> Shape {
        guard let grid = latentGrid(for: SemanticGrid(rows: side, columns: side)) else {
            throw WuerstchenError(
                .invalidRequest, "\(description.name) cannot run on \(side)×\(side) positions")
        }
        return [batch, grid.rows, grid.columns, description.latentChannels]
    }

    /// A forward pass, ready to run.
    func forward(side: Int, batch: Int) throws -> () throws -> Tensor {
        let x = random("x", try shape(side: side, batch: batch))
        let conditioning = try conditioning(
            side: side, batch: batch, tokens: 77, isGuided: false)
        let times = [Float](repeating: 0.5, count: batch)
        return { try predictNoise(x, times: times, conditioning: conditioning) }
    }
}

extension StageC: BenchmarkedStage {
    static var published: Configuration { Configuration() }
    static var shallow: Configuration {
        var c = Configuration()
        c.depth = 2
        return c
    }
    static var miniature: Configuration { MiniatureArchitecture.stageC }
    static let seed: UInt64 = 1
    static let flops = 1.154e12
    static let goal: Float = 2

    func conditioning(
        side: Int, batch: Int, tokens: Int, isGuided: Bool
    ) throws -> Conditioning {
        let text = random("text", [batch, tokens, configuration.textChannels])
        return try conditioning(
            TextEmbedding(prompts: text, negatives: text), isGuided: isGuided)
    }
}

extension StageB: BenchmarkedStage {
    static var published: Configuration { Configuration() }
    static var shallow: Configuration {
        var c = Configuration()
        c.blocks = [1, 1, 1, 1]
        return c
    }
    static var miniature: Configuration { MiniatureArchitecture.stageB }
    static let seed: UInt64 = 2
    static let flops = 2.858e12
    static let goal: Float = 1

    func conditioning(
        side: Int, batch: Int, tokens: Int, isGuided: Bool
    ) throws -> Conditioning {
        let semantic = random("semantic", [batch, side, side, configuration.semanticChannels])
        let text = random("text", [batch, tokens, configuration.textChannels])
        let space = SemanticLatentSpace(scale: 1, offset: 0)
        return try conditioning(
            SemanticLatent(values: semantic, space: space),
            TextEmbedding(prompts: text, negatives: text), isGuided: isGuided)
    }
}
