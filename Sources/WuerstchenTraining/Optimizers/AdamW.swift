public import TensorCore

/// AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019).
public struct AdamW: Sendable {
    /// How fast the means of gradients and of their squares forget.
    public var betas: (first: Float, second: Float)
    /// What is added to the root of the mean square.
    public var epsilon: Float
    /// The share of a parameter that is taken off in a step, in units of the learning rate.
    public var weightDecay: Float

    /// Running means for each parameter that has been updated.
    public struct Moments: Sendable {
        /// Of gradients.
        public var first: Tensor
        /// Of squared gradients.
        public var second: Tensor
        /// How many gradients they are made of.
        public var count: Int
    }
    /// The running means by parameter name.
    public var moments: [String: Moments] = [:]

    /// An optimiser of the given settings; the published ones by default.
    public init(
        betas: (first: Float, second: Float) = (0.9, 0.95), epsilon: Float = 1e-8,
        weightDecay: Float = 0.01
    ) {
        self.betas = betas
        self.epsilon = epsilon
        self.weightDecay = weightDecay
    }

    /// Moves parameters against their gradients.
    ///
    /// - Parameters:
    ///   - parameters: The parameters by name; those without a gradient stay as they are.
    ///   - gradients: The gradients by name, in the parameters' shapes.
    ///   - scale: What gradients are multiplied with first, such as a clipping factor.
    ///   - rate: The learning rate of each parameter.
    public mutating func update(
        _ parameters: inout [String: Tensor], _ gradients: [String: Tensor], scale: Float = 1,
        rate: (_ name: String) -> Float
    ) {
        for (name, gradient) in gradients {
            guard var parameter = parameters.removeValue(forKey: name) else { continue }
            var moments =
                self.moments.removeValue(forKey: name)
                ?? Moments(
                    first: Tensor(repeating: 0, gradient.shape),
                    second: Tensor(repeating: 0, gradient.shape), count: 0)
            moments.count += 1
            let rate = rate(name)
            parameter.adamWStep(
                gradient, first: &moments.first, second: &moments.second,
                step: Tensor.AdamStep(
                    betas: betas, epsilon: epsilon, rate: rate, decay: weightDecay,
                    gradientScale: scale, count: moments.count))
            self.moments[name] = moments
            parameters[name] = parameter
        }
    }
}

/// The length of all gradients together.
///
/// - Returns: The root of the sum of all squares, in an order that does not depend on the
///   dictionary.
public func globalNorm(_ gradients: [String: Tensor]) -> Float {
    var sum = 0.0
    for name in gradients.keys.sorted() { sum += gradients[name]?.squareSum() ?? 0 }
    return Float(sum.squareRoot())
}
