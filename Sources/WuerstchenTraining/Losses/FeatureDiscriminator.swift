internal import TensorCore
internal import Wuerstchen
internal import WuerstchenNN

/// Tells a teacher's latents from a student's by the features of a pretrained stage that learns
/// along (Lin et al., "SDXL-Lightning", 2024).
///
/// The body sees noisy latents with their time and caption. Beside it are two heads: one for
/// latents together with those that the step began with, each seen by the body on its own, and one
/// for latents alone.
struct FeatureDiscriminator<Stage: FeatureStage> {
    /// Where its parts' parameters are, under a scope of the training's.
    enum Part: String, CaseIterable {
        case body, pair, single
    }

    private let body: Stage
    private let conditioning: Stage.Conditioning
    private let pair: FeatureHead
    private let single: FeatureHead

    /// - Parameters:
    ///   - blueprint: The body.
    ///   - source: The parameters of a part.
    ///   - conditions: What the latents are conditioned on.
    ///   - context: What makes the body's conditioning.
    ///   - precision: The numbers that the large matrices are multiplied with.
    /// - Throws: What building and conditioning throw.
    init(
        _ blueprint: StageBlueprint<Stage>, _ source: (Part) -> any ParameterSource,
        _ conditions: CouplingConditions, _ context: any StageContext<Stage>,
        precision: Precision
    ) throws {
        body = try blueprint.stage(source(.body), precision: precision)
        conditioning = try context.conditioning(conditions, for: body, isGuided: false)
        let channels = Stage.featureChannels(of: blueprint.configuration)
        func head(_ part: Part, passes: Int) throws -> FeatureHead {
            try FeatureHead(
                source(part), channels: channels, passes: passes, precision: precision)
        }
        (pair, single) = (try head(.pair, passes: 2), try head(.single, passes: 1))
    }

    /// What the body sees in noisy latents of diffusion's.
    func features(_ latents: Tensor, times: [Float]) throws -> [Tensor] {
        try body.features(latents, times: times, conditioning: conditioning)
    }

    /// How likely latents are the student's and the teacher's: logits of both, `[batch, 2]`.
    ///
    /// - Parameters:
    ///   - seen: Their features.
    ///   - start: The features of what the step began with; nil to judge latents alone.
    /// - Returns: The logits.
    func callAsFunction(_ seen: [Tensor], beside start: [Tensor]?) -> Tensor {
        if let start { return pair([seen, start]) }
        return single([seen])
    }
}

/// Judges features: positions of several passes through a body are mixed, a learnt query gathers
/// them over all positions, and what it has gathered from each place in the body is weighed (Lin et
/// al., "Diffusion Adversarial Post-Training for One-Step Video Generation", 2025). Thus it takes
/// latents of any size.
struct FeatureHead {
    private struct Tap {
        let mixers: [Linear]
        let query: Embedding
        let attention: Attention
        let mlp: (first: Linear, second: Linear)
        let output: Linear
    }

    private let taps: [Tap]
    private let output: Linear

    /// - Parameters:
    ///   - source: The parameters.
    ///   - channels: Channels of the features of each place in the body.
    ///   - passes: How many passes are judged together.
    ///   - precision: The numbers that the large matrices are multiplied with.
    /// - Throws: What reading the parameters throws.
    init(
        _ source: any ParameterSource, channels: [Int], passes: Int, precision: Precision
    ) throws {
        let width = channels.max() ?? 1
        (taps, output) = try Parameters.load(from: source, precision: precision) { root in
            let taps = try channels.enumerated().map { index, channels in
                let tap = root["taps"][index]
                // Of 32 channels or more, where there are as many.
                let heads = (1...max(1, channels / 32)).last { channels % $0 == 0 } ?? 1
                return Tap(
                    mixers: try (0..<passes).map {
                        try Linear(tap["mixers"][$0], channels, channels)
                    },
                    query: try Embedding(tap["query"], count: 1, channels: channels),
                    attention: try Attention(tap["attention"], channels: channels, heads: heads),
                    mlp: (
                        try Linear(tap["mlp"][0], channels, 2 * channels),
                        try Linear(tap["mlp"][1], 2 * channels, channels)
                    ), output: try Linear(tap["output"], channels, width))
            }
            // It begins without an opinion.
            let output = try Linear(
                root.float32["output"], width, 2, role: .outputWeight, initializer: .zeros)
            return (taps, output)
        }
    }

    /// - Parameter passes: For each pass the features of each place, `[batch, height, width,
    ///   channels]`.
    /// - Returns: Logits of the student's and of the teacher's, `[batch, 2]`.
    func callAsFunction(_ passes: [[Tensor]]) -> Tensor {
        let votes = taps.enumerated().map { index, tap in
            let mixed = zip(tap.mixers, passes).map { $0($1[index].layerNormalized()) }
            let features = mixed.dropFirst().reduce(mixed[0], +).activated(.gelu)
            let shape = features.shape
            let positions = features.reshaped(to: [shape[0], shape[1] * shape[2], shape[3]])
            let query = tap.query([Int](repeating: 0, count: shape[0]))
                .reshaped(to: [shape[0], 1, shape[3]])
            let gathered = tap.attention(
                Operand(query),
                to: [tap.attention.keysAndValues(of: Operand(positions.layerNormalized()))])
            let judged = tap.mlp.second(
                tap.mlp.first(gathered.layerNormalized(), .gelu), residual: gathered)
            return tap.output(judged.layerNormalized().reshaped(to: [shape[0], shape[3]]))
        }
        return output(votes.dropFirst().reduce(votes[0], +).activated(.gelu))
    }
}
