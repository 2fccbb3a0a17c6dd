public import TensorCore

/// A convolution with a square kernel and zero padding.
public struct Convolution: Sendable {
    private let weight: PackedWeight
    private let bias: Tensor?
    private let kernel: Int
    private let stride: Int
    private let padding: Int

    /// A layer from the parameters `weight`, `[outputs, inputs, kernel, kernel]`, and `bias`.
    ///
    /// - Parameters:
    ///   - parameters: The layer's parameters.
    ///   - inputs: Channels of the input.
    ///   - outputs: Channels of the result.
    ///   - kernel: Side of the kernel.
    ///   - stride: Distance of the kernel's places along a side.
    ///   - padding: Zeros around the input on each side.
    ///   - hasBias: Whether there is a `bias`.
    ///   - role: What the weight is to the network.
    ///   - initializer: How the weight is drawn.
    /// - Throws: What reading the parameters throws.
    public init(
        _ parameters: Parameters, _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1,
        padding: Int = 0, hasBias: Bool = true, role: ParameterRole = .weight,
        initializer: Initializer = .fanIn()
    ) throws {
        if kernel == 1, stride == 1, padding == 0 {
            weight = try parameters.matrix(
                "weight", outputs, inputs, storedAs: [outputs, inputs, 1, 1], role: role,
                initializer: initializer)
        } else {
            let stored = try parameters.kernels(
                "weight", [outputs, inputs, kernel, kernel], role: role, initializer: initializer)
            weight = parameters.matrix(stored.arranged { Tensor.convolutionWeight($0) })
            parameters.release(stored)
        }
        bias = hasBias ? try parameters("bias", [outputs], role: .bias) : nil
        self.kernel = kernel
        self.stride = stride
        self.padding = padding
    }

    /// - Parameters:
    ///   - x: `[batch, height, width, inputs]`.
    ///   - activation: What is applied to the result.
    /// - Returns: `[batch, height', width', outputs]`.
    public func callAsFunction(_ x: Tensor, _ activation: Activation = .identity) -> Tensor {
        x.convolution(
            weight, kernel: kernel, stride: stride, padding: padding,
            Epilogue(bias: bias, activation: activation))
    }

    /// The convolution, a batch norm, in its epilogue where that is fixed, and an activation.
    ///
    /// - Parameters:
    ///   - x: `[batch, height, width, inputs]`.
    ///   - norm: A batch norm of the result's channels, which takes the place of the bias.
    ///   - activation: What is applied to the normalised result.
    /// - Returns: `[batch, height', width', outputs]`.
    public func callAsFunction(
        _ x: Tensor, _ norm: BatchNorm, _ activation: Activation = .identity
    ) -> Tensor {
        guard norm.isFixed else {
            let normed = norm(
                x.convolution(weight, kernel: kernel, stride: stride, padding: padding))
            return activation == .identity ? normed : normed.activated(activation)
        }
        return x.convolution(
            weight, kernel: kernel, stride: stride, padding: padding,
            Epilogue(scale: norm.scale, bias: norm.shift, activation: activation))
    }
}
