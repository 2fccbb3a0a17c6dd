internal import TensorCore
internal import WuerstchenNN

/// The flat stack of blocks of Stage C.
struct StageCNetwork: Sendable {
    /// A residual block, the timestep block behind it, and an attention block.
    private struct Triple: Sendable {
        let residual: ResidualBlock
        let timestep: TimestepBlock
        let attention: AttentionBlock
    }

    private let timestepChannels: Int
    private let projection: Linear
    private let textMapper: (first: Linear, second: Linear)
    private let triples: [Triple]
    private let output: Linear

    init(_ root: Parameters, _ c: StageC.Configuration) throws {
        let ends = root.float32
        let blocks = root["blocks"]
        timestepChannels = c.timestepChannels
        // Initialisers as in the published code: Xavier's bounds, and a last layer of zeros, so
        // that training begins by taking the input for the noise.
        projection = try Linear(
            ends["projection"], c.latentChannels, c.channels, .pointwiseConvolution,
            role: .inputWeight, initializer: .normal(deviation: 0.02))
        textMapper = (
            try Linear(
                ends["cond_mapper"][0], c.textChannels, c.channels, role: .inputWeight,
                initializer: .normal(deviation: 0.02)),
            try Linear(
                ends["cond_mapper"][2], c.channels, c.channels,
                initializer: .normal(deviation: 0.02))
        )
        // The more blocks there are, the less each adds at first.
        let branchGain = (1 / Float(c.depth)).squareRoot()
        triples = try (0..<c.depth).map { index in
            Triple(
                residual: try ResidualBlock(
                    blocks[3 * index], channels: c.channels, initializer: .xavier(),
                    outputInitializer: .xavier(gain: branchGain)),
                timestep: try TimestepBlock(
                    blocks[3 * index + 1], channels: c.channels, embedding: c.timestepChannels),
                attention: try AttentionBlock(
                    blocks[3 * index + 2], channels: c.channels, textChannels: c.channels,
                    heads: c.heads))
        }
        output = try Linear(
            ends["out"][1], c.channels, (c.flow == nil ? 2 : 1) * c.latentChannels,
            .pointwiseConvolution, role: .outputWeight, initializer: .zeros)
    }

    /// Keys and values of the text, `[texts, tokens, textChannels]`, for each attention block.
    func prepare(_ text: Tensor, trace: Trace?) -> [Tensor.KeyValues] {
        let mapped = textMapper.second(textMapper.first(text, .leakyReLU))
        trace?("cond_mapper", mapped)
        return triples.map { $0.attention.prepare(mapped) }
    }

    /// Returns `[batch, height, width, 2 · latentChannels]`, numerator's shift and denominator, or
    /// the velocity of half as many channels.
    func callAsFunction(
        _ x: Tensor, times: [Float], text: [Tensor.KeyValues], checkpoints: Bool, trace: Trace?
    ) throws -> Tensor {
        let y = try run(
            x, times: times, text: text, checkpoints: checkpoints, trace: trace
        ) { _, _ in }
        return output(y.layerNormalized())
    }

    /// What the stack has come to after some of its triples, counted from 1.
    func features(
        _ x: Tensor, times: [Float], text: [Tensor.KeyValues], after taps: [Int],
        checkpoints: Bool
    ) throws -> [Tensor] {
        var found: [Tensor] = []
        _ = try run(x, times: times, text: text, checkpoints: checkpoints, trace: nil) {
            if taps.contains($0) { found.append($1) }
        }
        return found
    }

    private func run(
        _ x: Tensor, times: [Float], text: [Tensor.KeyValues], checkpoints: Bool, trace: Trace?,
        _ visit: (Int, Tensor) -> Void
    ) throws -> Tensor {
        let embedding = timestepEmbedding(times, width: timestepChannels)
        trace?("r_embed", embedding)
        var y = projection(x)
        trace?("projection", y)
        for (index, triple) in triples.enumerated() {
            try Task.checkCancellation()
            y = y.checkpointed(if: checkpoints) {
                triple.residual($0, modulation: triple.timestep.modulation(embedding))
            }
            trace?("block_\(3 * index + 1)", y)
            try Task.checkCancellation()
            y = y.checkpointed(if: checkpoints) { triple.attention($0, text: text[index]) }
            trace?("block_\(3 * index + 2)", y)
            visit(index + 1, y)
        }
        return y
    }
}
