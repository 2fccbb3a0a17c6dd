public import Foundation
public import TensorCore
public import WuerstchenNN

/// A tiny decoder of semantic latents: a small image in milliseconds, in place of Stages B and A
/// when a preview is enough.
///
/// Which network it is is read from the parameters: the published previewers (a stack of
/// convolutions with GELU and batch norm that enlarges the latent four or eight times), or a small
/// residual decoder for cascades trained from scratch. ``init()`` needs no parameters at all.
public struct PreviewDecoder: Sendable {
    private enum Network: Sendable {
        case convolutional(ConvolutionalPreview)
        case residual(ResidualPreview)
        case linear
    }

    private let network: Network
    /// What the weights are told from others by; nil where they are from no file.
    private(set) var weights: PartWeights?

    /// The channels of the latents that the decoder takes, or nil if it takes any.
    private var channels: Int? {
        switch network {
        case .convolutional(let network): network.inputs
        case .residual: ResidualPreview.latentChannels
        case .linear: nil
        }
    }

    /// Refuses a Stage C of other latents.
    ///
    /// - Throws: ``WuerstchenError`` with code `invalidConfiguration`.
    package func requireFit(_ stageC: StageC.Configuration) throws {
        guard let channels, channels != stageC.latentChannels else { return }
        throw WuerstchenError(
            .invalidConfiguration,
            "Stage C makes latents of \(stageC.latentChannels) channels (c_in) and the preview "
                + "decoder takes \(channels); take parts that belong together")
    }

    /// bfloat16 where the processor multiplies them: they differ from 32 bits by less than a
    /// preview shows. A cascade of any precision takes it.
    public static var standardPrecision: Precision {
        Precision.bfloat16.isAccelerated ? .bfloat16 : .float32
    }

    /// A decoder from a safetensors file.
    ///
    /// - Parameters:
    ///   - file: Such as the published `previewer.safetensors`.
    ///   - precision: The numbers that the large matrices are stored in and multiplied with.
    /// - Throws: ``WuerstchenError`` when the file cannot be read or holds something else.
    public init(contentsOf file: URL, precision: Precision = PreviewDecoder.standardPrecision)
        throws
    {
        let parameters = try CheckpointParameters(contentsOf: file)
        try self.init(parameters: parameters, precision: precision)
        weights = PartWeights(precision) { try parameters.add(to: &$0) }
    }

    /// A decoder with the given parameters.
    ///
    /// - Parameters:
    ///   - source: The parameters under their published names.
    ///   - precision: The numbers that the large matrices are stored in and multiplied with.
    /// - Throws: ``WuerstchenError`` when parameters are missing, surplus or misshapen, or when
    ///   OpenBLAS is not installed.
    public init(
        parameters source: CheckpointParameters,
        precision: Precision = PreviewDecoder.standardPrecision
    ) throws {
        _ = try BLAS.load()
        network = try Parameters.load(
            from: source, precision: precision
        ) { root in
            if source.shape(of: "inp.0.weight") != nil {
                return .residual(try ResidualPreview(root))
            }
            return .convolutional(try ConvolutionalPreview(root, shapes: source))
        }
    }

    /// A small residual decoder, whose parameters the source may make up.
    ///
    /// - Parameters:
    ///   - source: The parameters.
    ///   - precision: The numbers that the large matrices are stored in and multiplied with.
    /// - Throws: ``WuerstchenError`` when parameters are missing, surplus or misshapen, or when
    ///   OpenBLAS is not installed.
    public init(residual source: any ParameterSource, precision: Precision = .float32) throws {
        _ = try BLAS.load()
        network = try Parameters.load(from: source, precision: precision) {
            .residual(try ResidualPreview($0))
        }
    }

    /// A decoder without parameters: the three directions in which a latent varies most become
    /// brightness and two colour contrasts, one pixel for each position.
    ///
    /// It shows where things are, in colours of its own.
    public init() {
        network = .linear
    }

    /// Small images of latents.
    ///
    /// - Returns: One image for each latent of the batch.
    /// - Throws: `CancellationError` when the task is cancelled, or ``WuerstchenError`` with code
    ///   `notFinite` when the result is not an image.
    public func decode(_ latent: SemanticLatent) throws -> [Image] {
        try Image.images(pixels(of: latent.values), madeBy: "the preview decoder")
    }

    /// Small images of latents, not clamped.
    ///
    /// - Parameter latents: `[batch, rows, columns, channels]`, as Stage C makes them.
    /// - Returns: `[batch, height, width, 3]`, 0…1 but for overshoots.
    /// - Throws: `CancellationError` when the task is cancelled, or ``WuerstchenError`` with code
    ///   `invalidRequest` for latents of other channels or none.
    public func pixels(of latents: Tensor) throws -> Tensor {
        let shape = latents.shape
        guard shape.rank == 4, shape.count > 0, channels ?? shape.channels == shape.channels else {
            throw WuerstchenError(
                .invalidRequest,
                "the preview decoder takes latents [batch, rows, columns, "
                    + "\(channels.map { "\($0)" } ?? "channels")], not \(shape)")
        }
        switch network {
        case .convolutional(let network): return try network(latents)
        case .residual(let network): return try network(latents)
        case .linear:
            return Tensor.concatenating(
                (0..<latents.shape[0]).map { principalColors(latents[$0..<$0 + 1]) })
        }
    }
}
