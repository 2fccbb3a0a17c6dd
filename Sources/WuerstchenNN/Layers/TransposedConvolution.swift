public import TensorCore

/// A transposed convolution whose kernel is a multiple of its stride.
public struct TransposedConvolution: Sendable {
    private let phases: [PackedWeight]
    private let bias: Tensor
    private let kernel: Int
    private let stride: Int
    private let padding: Int

    /// A layer from the parameters `weight`, `[inputs, outputs, kernel, kernel]`, and `bias`.
    ///
    /// - Parameters:
    ///   - parameters: The layer's parameters.
    ///   - inputs: Channels of the input.
    ///   - outputs: Channels of the result.
    ///   - kernel: Side of the kernel.
    ///   - stride: How many times longer the sides become.
    ///   - padding: What is cut off the result on each side.
    ///   - role: What the weight is to the network.
    ///   - initializer: How the weight is drawn.
    /// - Throws: What reading the parameters throws.
    public init(
        _ parameters: Parameters, _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int,
        padding: Int = 0, role: ParameterRole = .weight, initializer: Initializer = .fanIn()
    ) throws {
        let stored = try parameters.kernels(
            "weight", [inputs, outputs, kernel, kernel], role: role, initializer: initializer)
        phases = (0..<stride * stride).map { phase in
            parameters.matrix(
                stored.arranged(as: "[phase \(phase)]") {
                    Tensor.transposedConvolutionWeight(
                        $0, kernel: kernel, stride: stride, padding: padding, phase: phase)
                })
        }
        parameters.release(stored)
        bias = try parameters("bias", [outputs], role: .bias)
        self.kernel = kernel
        self.stride = stride
        self.padding = padding
    }

    /// - Parameters:
    ///   - x: `[batch, height, width, inputs]`.
    ///   - activation: What is applied to the result.
    /// - Returns: `[batch, height', width', outputs]`.
    public func callAsFunction(_ x: Tensor, _ activation: Activation = .identity) -> Tensor {
        x.transposedConvolution(
            phases, bias: bias, kernel: kernel, stride: stride, padding: padding,
            activation: activation)
    }
}
