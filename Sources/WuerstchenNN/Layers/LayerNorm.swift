public import TensorCore

/// Layer normalisation over the innermost axis with a learnt scale and shift (Ba et al., "Layer
/// Normalization", 2016).
///
/// Without them it is `Tensor.layerNormalized()`.
public struct LayerNorm: Sendable {
    private let affine: (weight: Tensor, bias: Tensor)
    private let epsilon: Float

    /// A layer from the parameters `weight` and `bias`, both `[channels]`.
    ///
    /// - Parameters:
    ///   - parameters: The layer's parameters.
    ///   - channels: Channels of the features.
    ///   - epsilon: What is added to the variance.
    /// - Throws: What reading the parameters throws.
    public init(_ parameters: Parameters, _ channels: Int, epsilon: Float = 1e-5) throws {
        affine = (
            try parameters("weight", [channels], role: .norm),
            try parameters("bias", [channels], role: .norm, initializer: .zeros)
        )
        self.epsilon = epsilon
    }

    /// - Parameter x: `[…, channels]`.
    /// - Returns: The normalised features, in the same shape.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        x.layerNormalized(epsilon: epsilon, affine: affine)
    }

    /// - Parameters:
    ///   - x: `[…, channels]`.
    ///   - matrix: What the features are multiplied with next.
    /// - Returns: The normalised features, in the precision of the matrix.
    public func callAsFunction(_ x: Tensor, for matrix: PackedWeight) -> Operand {
        x.layerNormalized(epsilon: epsilon, affine: affine, for: matrix)
    }
}
