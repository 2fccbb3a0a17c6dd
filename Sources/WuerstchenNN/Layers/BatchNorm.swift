public import TensorCore

/// Batch normalisation (Ioffe and Szegedy, 2015): with its running statistics, as a factor and a
/// summand for each channel, or in training with those of the batch.
public struct BatchNorm: Sendable {
    /// The factor of each channel under the running statistics.
    public let scale: Tensor
    /// The summand of each channel under the running statistics.
    public let shift: Tensor

    /// What training needs besides.
    private struct Training: Sendable {
        let affine: (weight: Tensor, bias: Tensor)?
        let epsilon: Float
        let record: @Sendable (_ mean: Tensor, _ variance: Tensor) -> Void
    }
    private let training: Training?

    /// A layer from `running_mean` and `running_var`, with a `weight` and a `bias` where it is
    /// affine.
    ///
    /// - Parameters:
    ///   - parameters: The layer's parameters.
    ///   - channels: Channels of the features.
    ///   - epsilon: What is added to the variance.
    ///   - isAffine: Whether there are a `weight` and a `bias`.
    /// - Throws: What reading the parameters throws.
    public init(
        _ parameters: Parameters, _ channels: Int, epsilon: Float, isAffine: Bool = true
    ) throws {
        let mean = try parameters("running_mean", [channels], role: .statistic)
        let variance = try parameters(
            "running_var", [channels], role: .statistic, initializer: .ones)
        let inverse = variance.rsqrt(adding: epsilon)
        var affine: (Tensor, Tensor)?
        if isAffine {
            let (weight, bias) = (
                try parameters("weight", [channels], role: .norm),
                try parameters("bias", [channels], role: .norm, initializer: .zeros)
            )
            scale = weight * inverse
            shift = bias - mean * scale
            affine = (weight, bias)
        } else {
            scale = inverse
            shift = mean.scaled(by: -1) * scale
        }
        training = parameters.recordStatistics.map {
            Training(affine: affine, epsilon: epsilon, record: $0)
        }
    }

    /// Whether the layer's scale and shift are all there is to it, for another layer to apply.
    public var isFixed: Bool { training == nil }

    /// - Parameter x: `[batch, …, channels]`.
    /// - Returns: The normalised features, in the same shape.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        guard let training else { return x.scaledChannels(by: scale, shift: shift) }
        let (normed, mean, variance) = x.batchNormalized(epsilon: training.epsilon)
        let count = Float(x.count / max(1, x.shape.channels))
        training.record(mean, variance.scaled(by: count / max(1, count - 1)))
        guard let affine = training.affine else { return normed }
        return normed.scaledChannels(by: affine.weight, shift: affine.bias)
    }

    /// Whether a name is that of a running statistic, which no gradient reaches.
    public static func isStatistic(_ name: String) -> Bool {
        name.hasSuffix("running_mean") || name.hasSuffix("running_var")
    }
}
