public import TensorCore

/// A linear layer, or a 1×1 convolution, over the innermost axis.
public struct Linear: Sendable {
    /// The weight, `[outputs, inputs]`, packed for products.
    public let matrix: PackedWeight
    /// `[outputs]`, or nil for none.
    public let bias: Tensor?

    /// What the layer's weight is stored as.
    public enum Kind {
        /// `[outputs, inputs]`
        case linear
        /// `[outputs, inputs, 1, 1]`
        case pointwiseConvolution
    }

    /// A layer from the parameters `weight` and `bias`.
    ///
    /// - Parameters:
    ///   - parameters: The layer's parameters.
    ///   - inputs: Features of a row of the input.
    ///   - outputs: Features of a row of the result.
    ///   - kind: What the weight is stored as.
    ///   - hasBias: Whether there is a `bias`.
    ///   - role: What the weight is to the network.
    ///   - initializer: How the weight is drawn.
    /// - Throws: What reading the parameters throws.
    public init(
        _ parameters: Parameters, _ inputs: Int, _ outputs: Int, _ kind: Kind = .linear,
        hasBias: Bool = true, role: ParameterRole = .weight, initializer: Initializer = .fanIn()
    ) throws {
        matrix = try parameters.matrix(
            "weight", outputs, inputs,
            storedAs: kind == .linear ? nil : [outputs, inputs, 1, 1], role: role,
            initializer: initializer)
        bias = hasBias ? try parameters("bias", [outputs], role: .bias) : nil
    }

    /// - Parameters:
    ///   - x: `[…, inputs]`.
    ///   - activation: What is applied to the result.
    ///   - residual: What is added at the end, in the shape of the result.
    /// - Returns: `[…, outputs]`.
    public func callAsFunction(
        _ x: Tensor, _ activation: Activation = .identity, residual: Tensor? = nil
    ) -> Tensor {
        self(Operand(x), activation, residual: residual)
    }

    /// - Parameters:
    ///   - x: `[…, inputs]`, such as normalised features in the precision of ``matrix``.
    ///   - activation: What is applied to the result.
    ///   - residual: What is added at the end, in the shape of the result.
    /// - Returns: `[…, outputs]`.
    public func callAsFunction(
        _ x: Operand, _ activation: Activation = .identity, residual: Tensor? = nil
    ) -> Tensor {
        Tensor.linear(
            [Tensor.Term(x, matrix)],
            Epilogue(bias: bias, activation: activation, residual: residual))
    }
}
