public import TensorCore
public import WuerstchenNN

/// Tells images from reconstructions, patch by patch (Isola et al., "Image-to-Image Translation
/// with Conditional Adversarial Networks", 2017), under least squares (Mao et al., "Least Squares
/// Generative Adversarial Networks", 2017).
///
/// What it learns to see, a mean error hardly counts: that edges are soft and textures smooth. It
/// is thrown away after training.
public struct PatchDiscriminator: Sendable {
    private let layers: [Convolution]
    private let output: Convolution

    /// A discriminator whose parameters the source may make up.
    ///
    /// - Parameters:
    ///   - source: The parameters.
    ///   - precision: The numbers that the large matrices are multiplied with.
    ///   - width: Channels of the first layer.
    ///   - depth: Layers of stride two; each has twice the channels of the one before.
    /// - Throws: `WuerstchenError` when parameters are missing, surplus or misshapen.
    public init(
        _ source: any ParameterSource, precision: Precision = .float32, width: Int = 32,
        depth: Int = 3
    ) throws {
        let widths = [3] + (0..<depth).map { width << $0 }
        (layers, output) = try Parameters.load(from: source, precision: precision) { root in
            (
                try (0..<depth).map {
                    try Convolution(
                        root["layers"][$0], widths[$0], widths[$0 + 1], kernel: 4, stride: 2,
                        padding: 1)
                },
                try Convolution(root["output"], widths[depth], 1, kernel: 3, padding: 1)
            )
        }
    }

    /// How real each patch looks: 1 for images, 0 for reconstructions.
    ///
    /// - Parameter images: `[batch, height, width, 3]`, 0…1; sides of 2^depth pixels and
    ///   more.
    /// - Returns: `[batch, height / 2^depth, width / 2^depth, 1]`.
    public func callAsFunction(_ images: Tensor) -> Tensor {
        output(
            layers.reduce(images.scaled(by: 2, shift: -1)) { $1($0, .leakyReLU) })
    }
}
