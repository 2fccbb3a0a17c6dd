public import Foundation
public import TensorCore
public import WuerstchenNN

/// The semantic compressor: images to the latents that Stage C learns to make.
///
/// Published checkpoints use EfficientNetV2-S and a projection to 16 channels
/// (`effnet_encoder.safetensors`). A small convolutional encoder of residual blocks, for small
/// cascades, is told apart by its parameters' names.
public struct SemanticCompressor: Sendable {
    private enum Backbone: Sendable {
        case efficientNet(EfficientNetV2S, projection: Linear)
        case residual(ResidualCompressor)
    }

    /// Channels of the latents, whichever the network.
    public static let latentChannels = 16

    /// How the latents relate to images and to what Stage B takes.
    public let latentSpace: SemanticLatentSpace
    private let backbone: Backbone
    private let norm: BatchNorm

    /// A compressor from a safetensors file.
    ///
    /// - Parameters:
    ///   - file: Such as `effnet_encoder.safetensors`. A `backbone` and a `mapper` whose batch norm
    ///     has weight and bias (Würstchen v2) or has not (Stable Cascade).
    ///   - latentSpace: How the latents relate to images and to what Stage B takes.
    /// - Throws: ``WuerstchenError`` when the file cannot be read or holds something else.
    public init(
        contentsOf file: URL, latentSpace: SemanticLatentSpace = SemanticLatentSpace()
    ) throws {
        try self.init(
            parameters: try CheckpointParameters(contentsOf: file), latentSpace: latentSpace)
    }

    /// A compressor with the given parameters.
    ///
    /// - Parameters:
    ///   - source: The parameters under their published names.
    ///   - precision: The numbers that the large matrices are stored in and multiplied with.
    ///   - latentSpace: How the latents relate to images and to what Stage B takes.
    /// - Throws: ``WuerstchenError`` when parameters are missing, surplus or misshapen, or when
    ///   OpenBLAS is not installed.
    public init(
        parameters source: any ParameterSource, precision: Precision = .float32,
        latentSpace: SemanticLatentSpace = SemanticLatentSpace()
    ) throws {
        try self.init(
            architecture: Architecture(of: source), parameters: source, precision: precision,
            latentSpace: latentSpace)
    }

    /// The networks that a compressor can be.
    public enum Architecture: Sendable {
        /// EfficientNetV2-S and a projection, as published.
        case efficientNet
        /// A small encoder of residual blocks, for cascades that are trained from scratch.
        case residual

        /// The network that parameters are of, by their names.
        public init(of source: any ParameterSource) {
            self =
                source.names?.contains("backbone.0.weight") == true ? .residual : .efficientNet
        }
    }

    /// A compressor of an architecture, whose parameters the source may make up.
    ///
    /// - Parameters:
    ///   - architecture: Which network.
    ///   - source: The parameters.
    ///   - precision: The numbers that the large matrices are stored in and multiplied with.
    ///   - latentSpace: How the latents relate to images and to what Stage B takes.
    /// - Throws: As ``init(parameters:precision:latentSpace:)``.
    public init(
        architecture: Architecture, parameters source: any ParameterSource,
        precision: Precision = .float32, latentSpace: SemanticLatentSpace = SemanticLatentSpace()
    ) throws {
        _ = try BLAS.load()
        try latentSpace.validate()
        self.latentSpace = latentSpace
        let isResidual = architecture == .residual
        (backbone, norm) = try Parameters.load(
            from: source, precision: precision
        ) { root in
            let mapper = root["mapper"]
            if isResidual {
                let channels = Self.latentChannels
                return (
                    .residual(try ResidualCompressor(root)),
                    try BatchNorm(mapper[2], channels, epsilon: 1e-5, isAffine: false)
                )
            }
            return (
                .efficientNet(
                    try EfficientNetV2S(root["backbone"]),
                    projection: try Linear(
                        mapper[0], EfficientNetV2S.outputChannels, Self.latentChannels,
                        .pointwiseConvolution,
                        hasBias: false, role: .outputWeight)),
                try BatchNorm(
                    mapper[1], Self.latentChannels, epsilon: 1e-5,
                    isAffine: mapper[1].contains("weight"))
            )
        }
    }

    /// The latent of an image.
    ///
    /// The image is resized to three quarters of its sides (rounded down to multiples of 32), at
    /// which resolution the published compressor was trained.
    ///
    /// - Throws: `CancellationError` when the task is cancelled, or ``WuerstchenError`` with code
    ///   `invalidRequest` for an image with a side below 43 pixels.
    public func encode(_ image: Image) throws -> SemanticLatent {
        let latent = try encode(image.tensor)
        guard latent.values.isFinite else {
            throw WuerstchenError(
                .notFinite,
                "the semantic compressor gave values that are not numbers; its weights are damaged")
        }
        return latent
    }

    /// The latents of images, resized to three quarters of their sides first.
    ///
    /// - Parameter images: `[batch, height, width, 3]`, 0…1.
    /// - Returns: A latent for each, whose numbers are not looked at.
    /// - Throws: As ``reduced(_:)`` and ``embed(_:)`` do.
    public func encode(_ images: Tensor) throws -> SemanticLatent {
        SemanticLatent(embedding: try embed(reduced(images)), space: latentSpace)
    }

    /// Images at the compressor's own resolution: three quarters of their sides.
    ///
    /// - Parameter images: `[batch, height, width, 3]`, 0…1.
    /// - Returns: The images resized, sides rounded down to multiples of 32.
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` for a side below 43 pixels.
    public func reduced(_ images: Tensor) throws -> Tensor {
        func reduced(_ side: Int) -> Int { side * 3 / 4 / 32 * 32 }
        let (height, width) = (images.shape[1], images.shape[2])
        guard reduced(height) > 0, reduced(width) > 0 else {
            throw WuerstchenError(
                .invalidRequest,
                "the compressor takes images of at least 43 pixels a side, not "
                    + "\(width)×\(height)")
        }
        return resized(images, height: reduced(height), width: reduced(width))
    }

    /// The latents of images on a grid: they are resized to 32 pixels a position.
    ///
    /// - Parameters:
    ///   - images: `[batch, height, width, 3]`, 0…1.
    ///   - grid: Rows and columns of the latents.
    /// - Returns: A latent for each.
    /// - Throws: `CancellationError` when the task is cancelled.
    func encode(_ images: Tensor, grid: SemanticGrid) throws -> SemanticLatent {
        SemanticLatent(
            embedding: try embed(
                resized(images, height: 32 * grid.rows, width: 32 * grid.columns)),
            space: latentSpace)
    }

    private func resized(_ images: Tensor, height: Int, width: Int) -> Tensor {
        let resampling: (Int, Int) -> Resampling
        switch backbone {
        case .efficientNet: resampling = Resampling.antialiasedBilinear
        case .residual: resampling = Resampling.bilinear
        }
        return images.resized(
            rows: resampling(images.shape[1], height), columns: resampling(images.shape[2], width))
    }

    /// What Stage B takes, from images at the compressor's own resolution.
    ///
    /// - Parameter pixels: `[batch, height, width, 3]`, 0…1.
    /// - Returns: `[batch, height / 32, width / 32, 16]`, sides rounded up with EfficientNetV2-S
    ///   and down with residual blocks.
    /// - Throws: `CancellationError` between blocks when the task is cancelled.
    public func embed(_ pixels: Tensor) throws -> Tensor {
        try embed(pixels, trace: nil)
    }

    package func embed(_ pixels: Tensor, trace: Trace?) throws -> Tensor {
        switch backbone {
        case .efficientNet(let network, let projection):
            // The statistics of ImageNet that the backbone was trained with.
            let mean: [Float] = [0.485, 0.456, 0.406]
            let deviation: [Float] = [0.229, 0.224, 0.225]
            let normalized = pixels.scaledChannels(
                by: Tensor(deviation.map { 1 / $0 }, [3]),
                shift: Tensor(Swift.zip(mean, deviation).map { -$0 / $1 }, [3]))
            trace?("normalised", normalized)
            let features = try network(normalized, trace: trace)
            trace?("features", features)
            return norm(projection(features))
        case .residual(let network):
            return norm(try network(pixels))
        }
    }
}
