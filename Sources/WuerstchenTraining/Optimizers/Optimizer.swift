public import TensorCore
public import WuerstchenNN

/// How parameters are moved against their gradients.
///
/// An optimiser is a value of settings. What it remembers of earlier steps lies in an
/// ``OptimizerState``, which a training saves and resumes from.
public protocol Optimizer: Sendable {
    /// The optimiser's name, such as `adamw`, which is recorded with a training's state.
    var name: String { get }

    /// The share of a parameter that is taken off in a step, in units of the learning rate.
    var weightDecay: Float { get set }

    /// What it remembers of a parameter, such as `first` and `second` for running means.
    ///
    /// - Parameters:
    ///   - role: What the parameter is to its layer; nil if nobody knows.
    ///   - shape: The parameter's shape.
    /// - Returns: The kinds of tensors, each of the parameter's shape.
    func tensorKinds(of role: ParameterRole?, _ shape: Shape) -> Set<String>

    /// Moves one parameter.
    ///
    /// - Parameters:
    ///   - parameter: The parameter.
    ///   - gradient: Its gradient, of the same shape.
    ///   - memory: What was remembered of it; nothing at first.
    ///   - role: What the parameter is to its layer; nil if nobody knows.
    ///   - scale: What the gradient is multiplied with first, such as a clipping factor.
    ///   - rate: The learning rate.
    ///   - precision: The numbers that large products may be computed with.
    func update(
        _ parameter: inout Tensor, _ gradient: Tensor, _ memory: inout OptimizerState.Memory,
        role: ParameterRole?, scale: Float, rate: Float, precision: Precision)
}

extension Optimizer {
    /// Moves parameters against their gradients.
    ///
    /// - Parameters:
    ///   - parameters: The parameters; those without a gradient stay as they are.
    ///   - state: What was remembered of earlier steps.
    ///   - gradients: The gradients by name, in the parameters' shapes.
    ///   - scale: What gradients are multiplied with first, such as a clipping factor.
    ///   - precision: The numbers that large products may be computed with.
    ///   - rate: The learning rate of each parameter.
    public func update(
        _ parameters: inout TrainableParameters, _ state: inout OptimizerState,
        _ gradients: [String: Tensor], scale: Float = 1, precision: Precision = .float32,
        rate: (_ name: String) -> Float
    ) {
        for (name, gradient) in gradients {
            // Taken out of the dictionaries, they change in place rather than in a copy.
            guard var parameter = parameters.values.removeValue(forKey: name) else { continue }
            var memory = state.memories.removeValue(forKey: name) ?? OptimizerState.Memory()
            update(
                &parameter, gradient, &memory, role: parameters.roles[name], scale: scale,
                rate: rate(name), precision: precision)
            state.memories[name] = memory
            parameters.values[name] = parameter
        }
    }
}

/// What an optimiser remembers of earlier steps.
public struct OptimizerState: Sendable {
    /// What is remembered of one parameter.
    public struct Memory: Sendable {
        /// Tensors of the parameter's shape by their kind, such as `first` for the running mean of
        /// gradients.
        public var tensors: [String: Tensor]
        /// How many gradients there were.
        public var count: Int

        /// A memory of the given tensors; of nothing by default.
        public init(_ tensors: [String: Tensor] = [:], count: Int = 0) {
            self.tensors = tensors
            self.count = count
        }

        /// Takes a tensor out to change it in place; zeros where there is none yet.
        mutating func take(_ kind: String, _ shape: Shape) -> Tensor {
            tensors.removeValue(forKey: kind) ?? Tensor(repeating: 0, shape)
        }
    }

    /// The memories by parameter name.
    public var memories: [String: Memory] = [:]

    /// The state before the first step.
    public init() {}
}

/// The length of all gradients together.
///
/// - Returns: The root of the sum of all squares, in an order that does not depend on the
///   dictionary.
public func globalNorm(_ gradients: [String: Tensor]) -> Float { GradientSizes(gradients).norm }

/// How long the gradients of a step are.
struct GradientSizes {
    /// The sums of their squares by parameter name; not a number where an element is none.
    var squares: [String: Double]

    init(_ gradients: [String: Tensor]) {
        // Where memory is only measured, there are no numbers.
        squares = gradients.mapValues { gradient in
            if MemoryMeter.isMeasuring { return 0 }
            let sum = gradient.squareSum()
            return sum.isFinite || gradient.isFinite ? sum : .nan
        }
    }

    /// The length of all together.
    var norm: Float {
        var sum = 0.0
        for name in squares.keys.sorted() { sum += squares[name] ?? 0 }
        return Float(sum.squareRoot())
    }
}
