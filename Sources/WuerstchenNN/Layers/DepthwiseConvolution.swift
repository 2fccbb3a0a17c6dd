public import TensorCore

/// A depthwise convolution: each channel by itself.
public struct DepthwiseConvolution: Sendable {
    private let weight: Tensor
    private let bias: Tensor
    private let kernel: Int
    private let stride: Int

    /// A layer from the parameters `weight`, `[channels, 1, kernel, kernel]`, and `bias`.
    ///
    /// - Parameters:
    ///   - parameters: The layer's parameters.
    ///   - channels: Channels of the input and of the result.
    ///   - kernel: Side of the kernel.
    ///   - stride: Distance of the kernel's places along a side.
    ///   - hasBias: Whether there is a `bias`.
    ///   - initializer: How the weight is drawn.
    /// - Throws: What reading the parameters throws.
    public init(
        _ parameters: Parameters, _ channels: Int, kernel: Int = 3, stride: Int = 1,
        hasBias: Bool = true, initializer: Initializer = .fanIn()
    ) throws {
        let stored = try parameters(
            "weight", [channels, 1, kernel, kernel], role: .depthwiseWeight,
            initializer: initializer)
        weight = stored.reshaped(to: [channels, kernel * kernel]).matrixTransposed()
        bias =
            hasBias
            ? try parameters("bias", [channels], role: .bias) : Tensor(repeating: 0, [channels])
        self.kernel = kernel
        self.stride = stride
    }

    /// The convolution with zero padding.
    ///
    /// - Parameter x: `[batch, height, width, channels]`.
    /// - Returns: `[batch, height', width', channels]`, at stride 1 of the sides of `x`.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        x.depthwiseConvolution(weight, bias: bias, kernel: kernel, stride: stride)
    }

    /// The convolution with zero padding, layer-normalised, for products with a matrix; for stride
    /// 1.
    ///
    /// - Parameters:
    ///   - x: `[batch, height, width, channels]`.
    ///   - matrix: What the result is multiplied with.
    /// - Returns: Rows of normalised features in the precision of the matrix.
    public func normalized(_ x: Tensor, for matrix: PackedWeight) -> Operand {
        x.normalizedDepthwiseConvolution(weight, bias: bias, kernel: kernel, for: matrix)
    }

    /// `x + gain · convolution of (layer norm of x · scale + shift)` with a border that repeats;
    /// for stride 1.
    ///
    /// - Parameters:
    ///   - x: `[batch, height, width, channels]`; given up, it is changed in place.
    ///   - mixing: Scale, shift and gain.
    /// - Returns: A map of the same shape.
    public func adding(to x: consuming Tensor, mixing: Mixing) -> Tensor {
        x.addingDepthwiseConvolution(weight, bias: bias, kernel: kernel, mixing: mixing)
    }
}
