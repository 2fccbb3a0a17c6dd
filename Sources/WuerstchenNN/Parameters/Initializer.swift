public import TensorCore

/// How a parameter is drawn when training begins.
///
/// A layer states it with its ``ParameterRequest``. Sources that have values of their own pass it
/// over.
public enum Initializer: Sendable, Hashable {
    /// All elements alike.
    case constant(Float)
    /// Normal around 0 with a standard deviation.
    case normal(deviation: Float)
    /// Uniform between ± a bound.
    case uniform(bound: Float)
    /// Uniform between ± gain / √inputs: what PyTorch's linear layers and convolutions begin with.
    case fanIn(gain: Float = 1)
    /// Uniform between ± gain · √(6 / (inputs + outputs)), the variance that keeps features and
    /// gradients at their scale (Glorot and Bengio, "Understanding the difficulty of training deep
    /// feedforward neural networks", 2010).
    ///
    /// Of several matrices on the same input, `stacked` counts as one, as do the queries, keys and
    /// values of attention that are one matrix in PyTorch.
    case xavier(gain: Float = 1, stacked: Int = 1)

    /// All elements 0.
    public static let zeros = constant(0)
    /// All elements 1.
    public static let ones = constant(1)

    /// What the elements of one parameter are drawn from.
    public enum Distribution: Sendable, Hashable {
        /// All elements alike.
        case constant(Float)
        /// Normal around 0 with a standard deviation.
        case normal(deviation: Float)
        /// Uniform between ± a bound.
        case uniform(bound: Float)
    }

    /// What the elements of a parameter are drawn from.
    ///
    /// - Parameter shape: `[outputs, inputs, …]`, as the parameter is stored. A parameter of one
    ///   axis has no inputs; where they would decide, it begins at zero.
    /// - Returns: The distribution.
    public func distribution(for shape: Shape) -> Distribution {
        switch self {
        case .constant(let value): return .constant(value)
        case .normal(let deviation): return .normal(deviation: deviation)
        case .uniform(let bound): return .uniform(bound: bound)
        case .fanIn(let gain):
            guard shape.rank >= 2 else { return .constant(0) }
            let inputs = Float(shape.count(of: 1..<shape.rank))
            return .uniform(bound: gain * (1 / inputs.squareRoot()))
        case .xavier(let gain, let stacked):
            guard shape.rank >= 2 else { return .constant(0) }
            let window = shape.count(of: 2..<shape.rank)
            let outputs = shape[0] * window * stacked
            return .uniform(
                bound: gain * (6 / Float(shape[1] * window + outputs)).squareRoot())
        }
    }
}
