public import TensorCore
public import WuerstchenNN

/// Stage A: the VQGAN that turns images into latents of a quarter of their sides and back
/// (`PaellaVQModel` of Rampas et al., "A Novel Sampling Scheme for Text- and Image-Conditional Image
/// Synthesis in Quantized Latent Spaces", 2022).
public struct StageA: Sendable {
    /// The architecture's numbers.
    public let configuration: Configuration

    private let inputLayer: Linear
    private let encoder: [(downsampler: Convolution?, block: MixingBlock)]
    private let latentLayer: Linear
    private let latentNorm: BatchNorm
    private let codebook: Tensor
    private let decoderInput: Linear
    private let decoder: [(blocks: [MixingBlock], upsampler: TransposedConvolution?)]
    private let outputLayer: Linear

    /// A network with the given parameters.
    ///
    /// - Parameters:
    ///   - configuration: The architecture's numbers.
    ///   - source: The parameters under their published names.
    ///   - precision: The numbers that the large matrices are stored in and multiplied with.
    /// - Throws: ``WuerstchenError`` when the configuration contradicts itself, when parameters are
    ///   missing, surplus or misshapen, or when OpenBLAS is not installed.
    public init(
        configuration: Configuration, parameters source: any ParameterSource,
        precision: Precision = .float32
    ) throws {
        _ = try BLAS.load()
        try configuration.validate()
        self.configuration = configuration
        let c = configuration
        let widths = c.widths
        let patch = c.imageChannels * c.patchSize * c.patchSize
        (
            inputLayer, encoder, latentLayer, latentNorm, codebook, decoderInput, decoder,
            outputLayer
        ) =
            try Parameters.load(
                from: source, precision: precision, ignoring: BatchNorm.isCounter
            ) { root in
                let ends = root.exact
                let down = root["down_blocks"]
                var next = 0
                var encoder: [(Convolution?, MixingBlock)] = []
                for (level, width) in widths.enumerated() {
                    var downsampler: Convolution?
                    if level > 0 {
                        downsampler = try Convolution(
                            down[next], widths[level - 1], width, kernel: 4, stride: 2, padding: 1)
                        next += 1
                    }
                    encoder.append((downsampler, try MixingBlock(down[next], channels: width)))
                    next += 1
                }
                let latent = down[next]
                let up = root["up_blocks"]
                next = 1
                var decoder: [([MixingBlock], TransposedConvolution?)] = []
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
                    decoder.append((blocks, upsampler))
                }
                return (
                    try Linear(ends["in_block"][1], patch, widths[0], .pointwiseConvolution),
                    encoder,
                    try Linear(
                        latent.exact[0], c.channels, c.latentChannels, .pointwiseConvolution,
                        hasBias: false),
                    try BatchNorm(latent[1], c.latentChannels, epsilon: 1e-5),
                    try root["vquantizer"]["embedding"]("weight", [c.codes, c.latentChannels]),
                    try Linear(up.exact[0][0], c.latentChannels, c.channels, .pointwiseConvolution),
                    decoder,
                    try Linear(ends["out_block"][0], widths[0], patch, .pointwiseConvolution)
                )
            }
    }

    /// Pixels per position of the latent, along a side.
    public var pixelsPerPosition: Int { configuration.patchSize << (configuration.levels - 1) }

    /// Images as latents, before quantisation and without Stage B's scale.
    ///
    /// - Parameter images: `[batch, height, width, 3]`, 0…1; sides multiples of
    ///   ``pixelsPerPosition``.
    /// - Returns: `[batch, height', width', latentChannels]`.
    /// - Throws: `CancellationError` between blocks when the task is cancelled, or
    ///   ``WuerstchenError`` with code `invalidRequest` for sides that are no such multiples.
    public func encode(_ images: Tensor) throws -> Tensor {
        try encode(images, trace: nil)
    }

    package func encode(_ images: Tensor, trace: Trace?) throws -> Tensor {
        guard images.shape.rank == 4, images.shape.channels == configuration.imageChannels else {
            throw WuerstchenError(
                .invalidRequest, "Stage A encodes [batch, height, width, 3], not \(images.shape)")
        }
        guard images.shape[1] % pixelsPerPosition == 0, images.shape[2] % pixelsPerPosition == 0
        else {
            throw WuerstchenError(
                .invalidRequest,
                "Stage A encodes images whose sides are multiples of \(pixelsPerPosition), "
                    + "not \(images.shape[2])×\(images.shape[1])")
        }
        var y = inputLayer(images.pixelUnshuffled(configuration.patchSize))
        trace?("after_in_block", y)
        for level in encoder {
            try Task.checkCancellation()
            if let downsampler = level.downsampler { y = downsampler(y) }
            y = level.block(consume y)
        }
        return latentNorm(latentLayer(y))
    }

    /// The nearest entries of the codebook.
    ///
    /// - Parameter latents: `[batch, height, width, latentChannels]`, without Stage B's scale.
    /// - Returns: The entries' numbers by image, row and column, and the entries in the shape of
    ///   the latents.
    public func quantize(_ latents: Tensor) -> (indices: [Int], quantized: Tensor) {
        let indices = latents.nearestRows(of: codebook).map(Int.init)
        return (indices, codebook.embeddingLookup(indices).reshaped(to: latents.shape))
    }

    /// Latents as images, neither scaled before nor clamped after.
    ///
    /// - Parameter latents: `[batch, height, width, latentChannels]`, without Stage B's scale.
    /// - Returns: `[batch, height', width', 3]`, 0…1 but for overshoots.
    /// - Throws: `CancellationError` between blocks when the task is cancelled, or
    ///   ``WuerstchenError`` with code `invalidRequest` for latents of other channels.
    public func decode(unscaled latents: Tensor) throws -> Tensor {
        guard latents.shape.rank == 4, latents.shape.channels == configuration.latentChannels
        else {
            throw WuerstchenError(
                .invalidRequest,
                "Stage A decodes [batch, height, width, \(configuration.latentChannels)], not "
                    + "\(latents.shape)")
        }
        var y = decoderInput(latents)
        for level in decoder {
            for block in level.blocks {
                try Task.checkCancellation()
                y = block(consume y)
            }
            try Task.checkCancellation()
            if let upsampler = level.upsampler { y = upsampler(y) }
        }
        return outputLayer(y).pixelShuffled(configuration.patchSize)
    }

    /// Stage B's latents as images.
    ///
    /// - Returns: One image for each latent of the batch.
    /// - Throws: `CancellationError` between blocks when the task is cancelled, or
    ///   ``WuerstchenError`` with code `notFinite` when the result is not an image.
    public func decode(_ latent: ImageLatent) throws -> [Image] {
        let pixels = try decode(unscaled: latent.values.scaled(by: configuration.latentScale))
        return try Image.images(pixels, madeBy: "Stage A")
    }
}
