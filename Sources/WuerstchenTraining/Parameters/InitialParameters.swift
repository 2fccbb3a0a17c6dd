internal import TensorCore
public import WuerstchenNN

/// The parameters that the training of a network begins with, drawn as its layers say: each value
/// depends on the seed and the parameter's name alone.
public struct InitialParameters: ParameterSource {
    /// A name for messages.
    public let origin = "initial parameters"
    /// None: whatever is asked for is made up.
    public let names: Set<String>? = nil
    private let seed: UInt64

    /// Parameters that a seed decides.
    public init(seed: UInt64) {
        self.seed = seed
    }

    /// A parameter of the expected shape.
    public func parameter(_ request: ParameterRequest) -> FoundParameter {
        let shape = request.shape
        var random = RandomStream(seed: seed, name: request.name)
        switch request.initializer.distribution(for: shape) {
        case .constant(let value): return .found(Tensor(repeating: value, shape))
        case .normal(let deviation): return .found(random.normal(shape).scaled(by: deviation))
        case .uniform(let bound): return .found(random.uniform(shape, spread: bound))
        }
    }
}
