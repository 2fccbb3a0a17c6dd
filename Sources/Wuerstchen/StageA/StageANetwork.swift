internal import TensorCore
internal import WuerstchenNN

/// The encoder, the codebook and the decoder of Stage A.
struct StageANetwork: Sendable {
    /// A level on the way to the latent.
    private struct EncoderLevel: Sendable {
        /// The layer that leads into the level.
        let downsampler: Convolution?
        let block: MixingBlock
    }

    /// A level on the way back.
    private struct DecoderLevel: Sendable {
        let blocks: [MixingBlock]
        /// The layer that leads out of the level.
        let upsampler: TransposedConvolution?
    }

    let codebook: Embedding
    private let patchSize: Int
    private let input: Linear
    private let encoder: [EncoderLevel]
    private let latent: Linear
    private let latentNorm: BatchNorm
    private let decoderInput: Linear
    private let decoder: [DecoderLevel]
    private let output: Linear

    init(_ root: Parameters, _ c: StageA.Configuration) throws {
        let ends = root.float32
        let down = root["down_blocks"]
        let up = root["up_blocks"]
        let widths = c.widths
        let patch = c.imageChannels * c.patchSize * c.patchSize
        patchSize = c.patchSize
        input = try Linear(
            ends["in_block"][1], patch, widths[0], .pointwiseConvolution, role: .inputWeight)
        output = try Linear(
            ends["out_block"][0], widths[0], patch, .pointwiseConvolution, role: .outputWeight)
        codebook = try Embedding(
            root["vquantizer"]["embedding"], count: c.codes, channels: c.latentChannels,
            initializer: .uniform(bound: 1 / Float(c.codes)))

        // Layers are numbered one after the other, on the way down and again on the way up.
        var next = 0
        var encoder: [EncoderLevel] = []
        for (level, width) in widths.enumerated() {
            var downsampler: Convolution?
            if level > 0 {
                downsampler = try Convolution(
                    down[next], widths[level - 1], width, kernel: 4, stride: 2, padding: 1)
                next += 1
            }
            encoder.append(
                EncoderLevel(
                    downsampler: downsampler, block: try MixingBlock(down[next], channels: width)))
            next += 1
        }
        self.encoder = encoder
        latent = try Linear(
            down[next].float32[0], c.channels, c.latentChannels, .pointwiseConvolution,
            hasBias: false)
        latentNorm = try BatchNorm(down[next][1], c.latentChannels, epsilon: 1e-5)

        decoderInput = try Linear(
            up.float32[0][0], c.latentChannels, c.channels, .pointwiseConvolution)
        next = 1
        var decoder: [DecoderLevel] = []
        for (number, width) in widths.reversed().enumerated() {
            let count = number == 0 ? c.bottleneckBlocks : 1
            let blocks = try (next..<next + count).map {
                try MixingBlock(up[$0], channels: width)
            }
            next += count
            var upsampler: TransposedConvolution?
            if number < widths.count - 1 {
                upsampler = try TransposedConvolution(
                    up[next], width, width / 2, kernel: 4, stride: 2, padding: 1)
                next += 1
            }
            decoder.append(DecoderLevel(blocks: blocks, upsampler: upsampler))
        }
        self.decoder = decoder
    }

    /// Images `[batch, height, width, 3]` to latents `[batch, height', width', latentChannels]`.
    /// Throws `CancellationError` between blocks when the task is cancelled.
    func encode(_ images: Tensor, trace: Trace?) throws -> Tensor {
        var y = input(images.pixelUnshuffled(patchSize))
        trace?("after_in_block", y)
        for level in encoder {
            try Task.checkCancellation()
            if let downsampler = level.downsampler { y = downsampler(y) }
            y = level.block(consume y)
        }
        return latentNorm(latent(y))
    }

    /// Latents `[batch, height, width, latentChannels]` to images `[batch, height', width', 3]`.
    /// Throws `CancellationError` between blocks when the task is cancelled.
    func decode(_ latents: Tensor) throws -> Tensor {
        var y = decoderInput(latents)
        for level in decoder {
            for block in level.blocks {
                try Task.checkCancellation()
                y = block(consume y)
            }
            try Task.checkCancellation()
            if let upsampler = level.upsampler { y = upsampler(y) }
        }
        return output(y).pixelShuffled(patchSize)
    }

    /// A part of one image, of latents that hold the part and what is around it; see
    /// ``StageA/halo``.
    ///
    /// After each layer everything is cut off that the rest of the part does not depend on: there
    /// the layer saw the border of the tile in place of the image.
    func decode(_ latents: Tensor, _ part: TileRegion) throws -> Tensor {
        // What must be there before each layer, found from the last to the first.
        var bounds = TileRegion(rows: 0..<latents.shape[1], columns: 0..<latents.shape[2])
        let sizes = decoder.indices.map { level in
            bounds.map { $0.lowerBound << level..<$0.upperBound << level }
        }
        var needed = part.map {
            $0.lowerBound << (decoder.count - 1)..<$0.upperBound << (decoder.count - 1)
        }
        let kept = needed
        var steps: [(level: Int, regions: [TileRegion])] = []
        for level in decoder.indices.reversed() {
            // Before the first block, between blocks, and after the last.
            var regions = [needed]
            for _ in decoder[level].blocks {
                needed = needed.widened(by: 1, within: sizes[level])
                regions.append(needed)
            }
            steps.append((level, regions.reversed()))
            guard level > 0 else { break }
            needed = needed.map { $0.lowerBound / 2..<($0.upperBound + 1) / 2 }
                .widened(by: 1, within: sizes[level - 1])
        }
        bounds = needed
        var y = decoderInput(latents.cropped(to: bounds))
        for (level, regions) in steps.reversed() {
            let isLast = level == decoder.count - 1
            for (block, next) in zip(decoder[level].blocks, regions) {
                try Task.checkCancellation()
                // The last level is the largest; there copies would take the most memory.
                if !isLast {
                    y = (consume y).cropped(to: next.relative(to: bounds))
                    bounds = next
                }
                y = block(consume y)
            }
            try Task.checkCancellation()
            guard let upsampler = decoder[level].upsampler else { break }
            let next = regions[regions.count - 1]
            y = upsampler((consume y).cropped(to: next.relative(to: bounds)))
            bounds = next.map { 2 * $0.lowerBound..<2 * $0.upperBound }
        }
        return output(y).cropped(to: kept.relative(to: bounds)).pixelShuffled(patchSize)
    }
}
