internal import TensorCore

/// A convolution with a square kernel and zero padding.
package struct Convolution: Sendable {
    private let weight: PackedWeight
    private let bias: Tensor?
    private let kernel: Int
    private let stride: Int
    private let padding: Int

    package init(
        _ parameters: Parameters, _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1,
        padding: Int = 0, hasBias: Bool = true
    ) throws {
        let stored = try parameters("weight", [outputs, inputs, kernel, kernel])
        weight = parameters.matrix(Tensor.convolutionWeight(stored))
        if kernel > 1 { parameters.release(stored) }
        bias = hasBias ? try parameters("bias", [outputs]) : nil
        self.kernel = kernel
        self.stride = stride
        self.padding = padding
    }

    package func callAsFunction(_ x: Tensor, _ activation: Activation = .identity) -> Tensor {
        x.convolution(
            weight, kernel: kernel, stride: stride, padding: padding,
            Epilogue(bias: bias, activation: activation))
    }

    /// The convolution, a batch norm, in its epilogue where that is fixed, and an activation.
    package func callAsFunction(
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

/// A transposed convolution whose kernel is a multiple of its stride.
package struct TransposedConvolution: Sendable {
    private let phases: [PackedWeight]
    private let bias: Tensor
    private let kernel: Int
    private let stride: Int
    private let padding: Int

    package init(
        _ parameters: Parameters, _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int,
        padding: Int = 0
    ) throws {
        let stored = try parameters("weight", [inputs, outputs, kernel, kernel])
        phases = Tensor.transposedConvolutionWeight(
            stored, kernel: kernel, stride: stride, padding: padding
        ).map { parameters.matrix($0) }
        parameters.release(stored)
        bias = try parameters("bias", [outputs])
        self.kernel = kernel
        self.stride = stride
        self.padding = padding
    }

    package func callAsFunction(_ x: Tensor, _ activation: Activation = .identity) -> Tensor {
        x.transposedConvolution(
            phases, bias: bias, kernel: kernel, stride: stride, padding: padding,
            activation: activation)
    }
}

/// A depthwise convolution: each channel by itself.
package struct DepthwiseConvolution: Sendable {
    private let weight: Tensor
    private let bias: Tensor
    private let kernel: Int
    private let stride: Int

    package init(
        _ parameters: Parameters, _ channels: Int, kernel: Int = 3, stride: Int = 1,
        hasBias: Bool = true
    ) throws {
        weight = try parameters("weight", [channels, 1, kernel, kernel])
            .reshaped(to: [channels, kernel * kernel]).matrixTransposed()
        bias = hasBias ? try parameters("bias", [channels]) : Tensor(repeating: 0, [channels])
        self.kernel = kernel
        self.stride = stride
    }

    /// The convolution with zero padding.
    package func callAsFunction(_ x: Tensor) -> Tensor {
        x.depthwiseConvolution(weight, bias: bias, kernel: kernel, stride: stride)
    }

    /// The convolution with zero padding, layer-normalised, for products with a matrix; for stride 1.
    package func normalized(_ x: Tensor, for matrix: PackedWeight) -> Operand {
        x.normalizedDepthwiseConvolution(weight, bias: bias, kernel: kernel, for: matrix)
    }

    /// `x + gain · convolution of (layer norm of x · scale + shift)` with a border that repeats; for
    /// stride 1.
    package func adding(to x: consuming Tensor, mixing: Mixing) -> Tensor {
        x.addingDepthwiseConvolution(weight, bias: bias, kernel: kernel, mixing: mixing)
    }
}
