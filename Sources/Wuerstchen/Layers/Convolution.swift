internal import TensorCore

/// A convolution with a square kernel and zero padding.
package struct Convolution: Sendable {
    private let weight: Tensor
    private let bias: Tensor?
    private let kernel: Int
    private let stride: Int
    private let padding: Int

    package init(
        _ parameters: Parameters, _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1,
        padding: Int = 0, hasBias: Bool = true
    ) throws {
        weight = Tensor.convolutionWeight(
            try parameters("weight", [outputs, inputs, kernel, kernel]))
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

    /// The convolution, a batch norm in its epilogue, and an activation.
    package func callAsFunction(
        _ x: Tensor, _ norm: BatchNorm, _ activation: Activation = .identity
    ) -> Tensor {
        x.convolution(
            weight, kernel: kernel, stride: stride, padding: padding,
            Epilogue(scale: norm.scale, bias: norm.shift, activation: activation))
    }
}

/// A transposed convolution whose kernel is a multiple of its stride.
package struct TransposedConvolution: Sendable {
    private let weight: Tensor
    private let bias: Tensor
    private let kernel: Int
    private let stride: Int
    private let padding: Int

    package init(
        _ parameters: Parameters, _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int,
        padding: Int = 0
    ) throws {
        weight = Tensor.transposedConvolutionWeight(
            try parameters("weight", [inputs, outputs, kernel, kernel]), kernel: kernel,
            stride: stride, padding: padding)
        bias = try parameters("bias", [outputs])
        self.kernel = kernel
        self.stride = stride
        self.padding = padding
    }

    package func callAsFunction(_ x: Tensor, _ activation: Activation = .identity) -> Tensor {
        x.transposedConvolution(
            weight, bias: bias, kernel: kernel, stride: stride, padding: padding,
            activation: activation)
    }
}

/// A depthwise convolution: each channel by itself.
package struct DepthwiseConvolution: Sendable {
    private let weight: Tensor
    private let bias: Tensor
    private let kernel: Int
    private let stride: Int
    private let padding: Padding

    package init(
        _ parameters: Parameters, _ channels: Int, kernel: Int = 3, stride: Int = 1,
        padding: Padding = .zeros, hasBias: Bool = true
    ) throws {
        weight = try parameters("weight", [channels, 1, kernel, kernel])
            .reshaped(to: [channels, kernel * kernel]).matrixTransposed()
        bias = hasBias ? try parameters("bias", [channels]) : Tensor(repeating: 0, [channels])
        self.kernel = kernel
        self.stride = stride
        self.padding = padding
    }

    /// The convolution of `x` (layer-normalised, scaled and shifted before where
    /// `inputNormalization` is given), times `gain`, plus `residual`; layer-normalised with the ε
    /// `normalization` where it is given.
    package func callAsFunction(
        _ x: Tensor, gain: Float = 1, residual: Tensor? = nil,
        inputNormalization: (scale: Float, shift: Float)? = nil, normalization: Float? = nil
    ) -> Tensor {
        x.depthwiseConvolution(
            weight, bias: bias, kernel: kernel, stride: stride, padding: padding, gain: gain,
            residual: residual, inputNormalization: inputNormalization,
            normalization: normalization)
    }
}
