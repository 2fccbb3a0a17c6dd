internal import TensorCore

/// A linear layer, or a 1×1 convolution, over the innermost axis.
package struct Linear: Sendable {
    package let matrix: PackedWeight
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
        matrix = try parameters.matrix(
            "weight", outputs, inputs,
            storedAs: kind == .linear ? nil : [outputs, inputs, 1, 1])
        bias = hasBias ? try parameters("bias", [outputs]) : nil
    }

    package func callAsFunction(
        _ x: Tensor, _ activation: Activation = .identity, residual: Tensor? = nil
    ) -> Tensor {
        self(Operand(x), activation, residual: residual)
    }

    package func callAsFunction(
        _ x: Operand, _ activation: Activation = .identity, residual: Tensor? = nil
    ) -> Tensor {
        Tensor.linear(
            [Tensor.Term(x, matrix)],
            Epilogue(bias: bias, activation: activation, residual: residual))
    }
}
