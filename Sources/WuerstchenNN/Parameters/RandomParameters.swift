internal import TensorCore

/// Random parameters for a network of any architecture: to measure speed, or to try a configuration
/// out before there is a checkpoint.
///
/// Each value depends on the seed, the parameter's name and its own place alone. Matrices are
/// uniform with the variance that keeps features at their scale (LeCun et al., "Efficient
/// BackProp", 1998); biases and gains stay close to 0, weights of norms close to 1.
public struct RandomParameters: ParameterSource {
    /// A name for messages.
    public let origin = "random parameters"
    /// None: whatever is asked for is made up.
    public let names: Set<String>? = nil
    private let seed: UInt64

    /// Parameters that a seed decides.
    public init(seed: UInt64) {
        self.seed = seed
    }

    /// A random tensor of the expected shape.
    public func parameter(_ request: ParameterRequest) -> FoundParameter {
        let shape = request.shape
        let (centre, spread) = RandomParameters.range(request)
        var hash = FNV1a(seed &+ SplitMix64.increment)
        hash.add(request.name.utf8)
        let start = hash.value
        return .found(
            unsafe Tensor(shape) { target in
                forEachChunk(of: shape.count) { range in
                    for index in range {
                        let place = UInt64(truncatingIfNeeded: index)
                        let bits = SplitMix64.mixed(start &+ place &* SplitMix64.increment)
                        let uniform = Float(Int32(truncatingIfNeeded: bits >> 32)) * 0x1p-31
                        unsafe target[index] = centre + spread * uniform
                    }
                }
            })
    }

    /// The middle of a parameter's range, and how far it reaches to both sides.
    private static func range(_ request: ParameterRequest) -> (centre: Float, spread: Float) {
        guard request.role.isWeight, request.shape.rank >= 2 else {
            guard request.role != .embedding, case .constant(let start) = request.initializer else {
                return (0, 0.05)
            }
            return (start, 0.05)
        }
        let inputs = max(1, request.shape.count(of: 1..<request.shape.rank))
        let spread = (3 / Float(inputs)).squareRoot()
        // A network whose last layer begins at zero may divide by what it gives.
        let isSmall = request.role == .outputWeight && request.initializer == .zeros
        return (0, isSmall ? 0.1 * spread : spread)
    }
}
