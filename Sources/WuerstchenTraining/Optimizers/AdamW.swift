public import TensorCore
public import WuerstchenNN

/// AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019).
///
/// It remembers the running means `first`, of gradients, and `second`, of their squares.
public struct AdamW: Optimizer {
    /// The name.
    public let name = "adamw"
    /// How fast the means of gradients and of their squares forget.
    public var betas: (first: Float, second: Float)
    /// What is added to the root of the mean square.
    public var epsilon: Float
    /// The share of a parameter that is taken off in a step, in units of the learning rate.
    public var weightDecay: Float

    /// An optimiser of the given settings; the published ones by default.
    public init(
        betas: (first: Float, second: Float) = (0.9, 0.95), epsilon: Float = 1e-8,
        weightDecay: Float = 0.01
    ) {
        self.betas = betas
        self.epsilon = epsilon
        self.weightDecay = weightDecay
    }

    /// Both running means, whatever the parameter is.
    public func tensorKinds(of role: ParameterRole?, _ shape: Shape) -> Set<String> {
        ["first", "second"]
    }

    /// Moves one parameter; all are treated alike.
    public func update(
        _ parameter: inout Tensor, _ gradient: Tensor, _ memory: inout OptimizerState.Memory,
        role: ParameterRole?, scale: Float, rate: Float, precision: Precision
    ) {
        var first = memory.take("first", gradient.shape)
        var second = memory.take("second", gradient.shape)
        memory.count += 1
        parameter.adamWStep(
            gradient, first: &first, second: &second,
            step: Tensor.AdamStep(
                betas: betas, epsilon: epsilon, rate: rate, decay: weightDecay,
                gradientScale: scale, count: memory.count))
        (memory.tensors["first"], memory.tensors["second"]) = (first, second)
    }
}
