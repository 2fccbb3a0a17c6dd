internal import TensorCore
internal import WuerstchenNN

/// The U-Net of Stage B.
struct StageBNetwork: Sendable {
    /// One block of a level.
    private enum Block: Sendable {
        /// With the timestep block behind it, whose work the residual block's last layer does.
        case residual(ResidualBlock, TimestepBlock?)
        case timestep(TimestepBlock)
        /// With its place among all attention blocks, in the order of ``attentionBlocks``.
        case attention(AttentionBlock, Int)
    }

    /// One level on the way down or up.
    private struct Level: Sendable {
        var blocks: [Block]
        /// The layer that leads into the level on the way down.
        var downsampler: Convolution?
        /// The layer that leads out of the level on the way up.
        var upsampler: TransposedConvolution?
    }

    let textMapper: Linear
    private(set) var attentionBlocks: [AttentionBlock] = []
    private let patchSize: Int
    private let timestepChannels: Int
    private let embedding: Linear
    private var down: [Level] = []
    private var up: [Level] = []
    private let output: Linear

    init(_ root: Parameters, _ c: StageB.Configuration) throws {
        let patch = c.patchSize * c.patchSize
        let levels = c.channels.count
        patchSize = c.patchSize
        timestepChannels = c.timestepChannels
        let ends = root.float32
        // Initialisers as in the published code: Xavier's bounds, a small first layer, and a last
        // layer of zeros, so that training begins by taking the input for the noise.
        textMapper = try Linear(
            ends["clip_mapper"], c.textChannels, c.conditioningChannels, role: .inputWeight,
            initializer: .normal(deviation: 0.02))
        embedding = try Linear(
            ends["embedding"][1], c.latentChannels * patch, c.channels[0], .pointwiseConvolution,
            role: .inputWeight, initializer: .xavier(gain: 0.02))
        output = try Linear(
            ends["clf"][1], c.channels[0], (c.flow == nil ? 2 : 1) * c.outputChannels * patch,
            .pointwiseConvolution, role: .outputWeight, initializer: .zeros)
        // The mappers are numbered over the levels down, then over the levels up.
        func semanticMapper(_ number: Int, _ level: Int) throws -> SemanticMapper? {
            guard c.injectsSemantics[level] else { return nil }
            return try SemanticMapper(
                root["effnet_mappers"][number], c.semanticChannels, c.conditioningChannels)
        }
        for level in 0..<levels {
            let parameters = root["down_blocks"][level]
            var blocks = try BlockList(parameters, c, level, semanticMapper(level, level))
            var downsampler: Convolution?
            if level > 0 {
                downsampler = try Convolution(
                    parameters[0][1], c.channels[level - 1], c.channels[level], kernel: 2,
                    stride: 2, initializer: .xavier())
                blocks.skipOne()
            }
            down.append(Level(blocks: try blocks.make(&attentionBlocks), downsampler: downsampler))
        }
        for number in 0..<levels {
            let level = levels - 1 - number
            let parameters = root["up_blocks"][number]
            var blocks = try BlockList(
                parameters, c, level, semanticMapper(levels + number, level))
            // The first residual block joins the level's output on the way down.
            if number > 0 { blocks.skipChannels = c.channels[level] }
            var next = Level(blocks: try blocks.make(&attentionBlocks))
            if level > 0 {
                next.upsampler = try TransposedConvolution(
                    parameters[blocks.next][1], c.channels[level], c.channels[level - 1],
                    kernel: 2, stride: 2)
            }
            up.append(next)
        }
    }

    /// Makes the blocks of a level, which are numbered one after the other.
    private struct BlockList {
        let parameters: Parameters
        let configuration: StageB.Configuration
        let level: Int
        let semanticMapper: SemanticMapper?
        var skipChannels = 0
        private(set) var next = 0

        init(
            _ parameters: Parameters, _ configuration: StageB.Configuration, _ level: Int,
            _ semanticMapper: SemanticMapper?
        ) throws {
            self.parameters = parameters
            self.configuration = configuration
            self.level = level
            self.semanticMapper = semanticMapper
        }

        mutating func skipOne() { next += 1 }

        mutating func make(_ attentionBlocks: inout [AttentionBlock]) throws -> [Block] {
            let c = configuration
            let channels = c.channels[level]
            // The more blocks there are, the less each adds at first.
            let branchGain = (1 / c.blocks.reduce(0) { $0 + Float($1) }).squareRoot()
            var skipChannels = skipChannels
            var blocks: [Block] = []
            for _ in 0..<c.blocks[level] {
                for type in c.blockTypes[level] {
                    let scope = parameters[next]
                    next += 1
                    // Only a residual block that comes first takes the skip.
                    defer { skipChannels = 0 }
                    switch type {
                    case "C":
                        blocks.append(
                            .residual(
                                try ResidualBlock(
                                    scope, channels: channels, skipChannels: skipChannels,
                                    semanticMapper: semanticMapper, kernel: c.kernelSize,
                                    initializer: .xavier(),
                                    outputInitializer: .xavier(gain: branchGain)), nil))
                    case "T":
                        let timestep = try TimestepBlock(
                            scope, channels: channels, embedding: c.timestepChannels)
                        if case .residual(let block, nil) = blocks.last {
                            blocks[blocks.count - 1] = .residual(block, timestep)
                        } else {
                            blocks.append(.timestep(timestep))
                        }
                    default:
                        let block = try AttentionBlock(
                            scope, channels: channels, textChannels: c.conditioningChannels,
                            heads: c.heads[level])
                        blocks.append(.attention(block, attentionBlocks.count))
                        attentionBlocks.append(block)
                    }
                }
            }
            return blocks
        }
    }

    /// Returns `[batch, height, width, 2 · outputChannels]`, numerator's shift and denominator, or
    /// the velocity of half as many channels.
    func callAsFunction(
        _ x: Tensor, times: [Float], conditioning: StageB.Conditioning, checkpoints: Bool,
        trace: Trace?
    ) throws -> Tensor {
        let time = timestepEmbedding(times, width: timestepChannels)
        var skips = try encode(x, time, conditioning, checkpoints: checkpoints, trace: trace)
        guard var y = skips.last else { preconditionFailure("a network without levels") }
        for (number, level) in up.enumerated() {
            let index = skips.count - 1
            let skip = number > 0 ? skips.removeLast() : nil
            if number == 0 { skips.removeLast() }
            try run(level.blocks, on: &y, skip, time, index, conditioning, checkpoints)
            if let upsampler = level.upsampler { y = upsampler(y.layerNormalized()) }
        }
        return output(y.layerNormalized()).pixelShuffled(patchSize)
    }

    /// What each level has come to on the way down, the finest first.
    private func encode(
        _ x: Tensor, _ time: Tensor, _ conditioning: StageB.Conditioning, checkpoints: Bool,
        trace: Trace?
    ) throws -> [Tensor] {
        var y = embedding(x.pixelUnshuffled(patchSize)).layerNormalized()
        var levels: [Tensor] = []
        for (index, level) in down.enumerated() {
            if let downsampler = level.downsampler { y = downsampler(y.layerNormalized()) }
            try run(level.blocks, on: &y, nil, time, index, conditioning, checkpoints)
            trace?("down_level_\(index)", y)
            levels.append(y)
        }
        return levels
    }

    /// What the deepest level has come to on the way down.
    func features(
        _ x: Tensor, times: [Float], conditioning: StageB.Conditioning, checkpoints: Bool
    ) throws -> [Tensor] {
        try encode(
            x, timestepEmbedding(times, width: timestepChannels), conditioning,
            checkpoints: checkpoints, trace: nil
        ).suffix(1)
    }

    private func run(
        _ blocks: [Block], on y: inout Tensor, _ skip: Tensor?, _ time: Tensor, _ level: Int,
        _ conditioning: StageB.Conditioning, _ checkpoints: Bool
    ) throws {
        for (place, block) in blocks.enumerated() {
            try Task.checkCancellation()
            y = y.checkpointed(if: checkpoints) { y in
                switch block {
                case .residual(let block, let timestep):
                    block(
                        y, skip: place == 0 ? skip : nil, semantic: conditioning.semantic[level],
                        modulation: timestep?.modulation(time))
                case .timestep(let block): block(y, time)
                case .attention(let block, let place): block(y, text: conditioning.text[place])
                }
            }
        }
    }
}
