public import TensorCore
public import WuerstchenNN

/// Stage A: the VQGAN that turns images into latents of a quarter of their sides and back
/// (`PaellaVQModel` of Rampas et al., "A Novel Sampling Scheme for Text- and Image-Conditional
/// Image Synthesis in Quantized Latent Spaces", 2022).
public struct StageA: Sendable {
    /// The architecture's numbers.
    public let configuration: Configuration

    private let network: StageANetwork

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
        network = try Parameters.load(
            from: source, precision: precision
        ) { try StageANetwork($0, configuration) }
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
        let (height, width) = (images.shape[1], images.shape[2])
        guard height % pixelsPerPosition == 0, width % pixelsPerPosition == 0 else {
            func nearest(_ side: Int) -> Int {
                max(1, (side + pixelsPerPosition / 2) / pixelsPerPosition) * pixelsPerPosition
            }
            throw WuerstchenError(
                .invalidRequest,
                "Stage A encodes images whose sides are multiples of \(pixelsPerPosition), "
                    + "not \(width)×\(height); the nearest size is "
                    + "\(nearest(width))×\(nearest(height))")
        }
        return try network.encode(images, trace: trace)
    }

    /// The nearest entries of the codebook.
    ///
    /// - Parameter latents: `[batch, height, width, latentChannels]`, without Stage B's scale.
    /// - Returns: The entries' numbers by image, row and column, and the entries in the shape of
    ///   the latents.
    public func quantize(_ latents: Tensor) -> (indices: [Int], quantized: Tensor) {
        let indices = latents.nearestRows(of: network.codebook.table).map(Int.init)
        return (indices, network.codebook(indices).reshaped(to: latents.shape))
    }

    /// Latents as images, neither scaled before nor clamped after.
    ///
    /// - Parameter latents: `[batch, height, width, latentChannels]`, without Stage B's scale.
    /// - Returns: `[batch, height', width', 3]`, 0…1 but for overshoots.
    /// - Throws: `CancellationError` between blocks when the task is cancelled, or
    ///   ``WuerstchenError`` with code `invalidRequest` for latents of other channels.
    public func decode(unscaled latents: Tensor) throws -> Tensor {
        try requireLatents(latents)
        return try network.decode(latents)
    }

    func requireLatents(_ latents: Tensor) throws {
        guard latents.shape.rank == 4, latents.shape.channels == configuration.latentChannels
        else {
            throw WuerstchenError(
                .invalidRequest,
                "Stage A decodes [batch, height, width, \(configuration.latentChannels)], not "
                    + "\(latents.shape)")
        }
    }

    /// The pixels of a part of one latent, for which what is around it is looked at.
    func pixels(of latent: ImageLatent, _ part: TileRegion) throws -> Tensor {
        try network.decode(latent.values.scaled(by: configuration.latentScale), part)
    }

    /// Stage B's latents as images. Large ones are decoded in tiles of ``standardTileSide``.
    ///
    /// - Returns: One image for each latent of the batch.
    /// - Throws: `CancellationError` between blocks when the task is cancelled, or
    ///   ``WuerstchenError`` with code `notFinite` when the result is not an image.
    public func decode(_ latent: ImageLatent) throws -> [Image] {
        try decode(latent, tileSide: Self.standardTileSide)
    }

    /// The pixels of latents as Stage B makes them, `[batch, height, width, 3]`, about 0…1.
    ///
    /// - Throws: As ``decode(unscaled:)``.
    public func pixels(of latent: ImageLatent) throws -> Tensor {
        try decode(unscaled: latent.values.scaled(by: configuration.latentScale))
    }

    /// Images as latents of about unit variance, which Stage B learns to make.
    ///
    /// - Parameter pixels: `[batch, height, width, 3]`, 0…1.
    /// - Returns: A latent for each.
    /// - Throws: As ``encode(_:)``.
    public func latent(of pixels: Tensor) throws -> ImageLatent {
        ImageLatent(values: try encode(pixels).scaled(by: 1 / configuration.latentScale))
    }

    /// What ``Configuration/latentScale`` should be: the root mean square of some images' latents.
    ///
    /// - Parameter pixels: `[batch, height, width, 3]`, 0…1.
    /// - Returns: The scale.
    /// - Throws: As ``encode(_:)``.
    public func measuredLatentScale(_ pixels: Tensor) throws -> Float {
        try encode(pixels).meanSquare().elements[0].squareRoot()
    }
}
