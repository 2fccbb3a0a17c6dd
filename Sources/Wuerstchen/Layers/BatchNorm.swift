internal import TensorCore

/// Batch normalisation with its running statistics (Ioffe and Szegedy, 2015), as a factor and a
/// summand for each channel.
package struct BatchNorm: Sendable {
    package let scale: Tensor
    package let shift: Tensor

    /// The layer from `running_mean` and `running_var`, with a `weight` and a `bias` besides the
    /// statistics where it is affine.
    package init(
        _ parameters: Parameters, _ channels: Int, epsilon: Float, isAffine: Bool = true
    ) throws {
        let mean = try parameters("running_mean", [channels])
        let variance = try parameters("running_var", [channels])
        let inverse = variance.inverseRoot(adding: epsilon)
        if isAffine {
            scale = try parameters("weight", [channels]) * inverse
            shift = try parameters("bias", [channels]) - mean * scale
        } else {
            scale = inverse
            shift = mean.scaled(by: -1) * scale
        }
    }

    package func callAsFunction(_ x: Tensor) -> Tensor {
        x.scaledChannels(by: scale, shift: shift)
    }

    /// Whether a surplus parameter is the count of batches seen in training, which PyTorch stores
    /// with every batch norm and inference has no use for.
    package static func isCounter(_ name: String) -> Bool {
        name.hasSuffix("num_batches_tracked")
    }
}
