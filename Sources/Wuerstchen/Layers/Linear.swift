internal import TensorCore

/// A linear layer, or a 1×1 convolution, over the innermost axis.
package struct Linear: Sendable {
    package let weight: Tensor
    package let bias: Tensor?

    /// What the layer's weight is stored as.
    package enum Kind {
        /// `[outputs, inputs]`
        case linear
        /// `[outputs, inputs, 1, 1]`
        case pointwiseConvolution
    }

    package init(
        _ parameters: Parameters, _ inputs: Int, _ outputs: Int, _ kind: Kind = .linear,
        hasBias: Bool = true
    ) throws {
        switch kind {
        case .linear:
            weight = try parameters("weight", [outputs, inputs])
        case .pointwiseConvolution:
            weight = try parameters("weight", [outputs, inputs, 1, 1]).reshaped(to: [
                outputs, inputs,
            ])
        }
        bias = hasBias ? try parameters("bias", [outputs]) : nil
    }

    package func callAsFunction(
        _ x: Tensor, _ activation: Activation = .identity, residual: Tensor? = nil
    ) -> Tensor {
        x.linear(weight, Epilogue(bias: bias, activation: activation, residual: residual))
    }
}
