public import TensorCore

/// What stands between computing the gradients of a step and using them: the place where several
/// processes that train the same parameters on different images agree.
public protocol GradientReducer: Sendable {
    /// The averages over all processes.
    ///
    /// A ``Trainer`` calls it three times in each step, in this order: with the gradients, the
    /// batch statistics, and the loss with its metrics.
    ///
    /// - Parameter tensors: This process's values by name.
    /// - Returns: The averages by name, in the same shapes and the same in every process.
    /// - Throws: What communication throws; the step then changes nothing.
    func average(_ tensors: [String: Tensor]) throws -> [String: Tensor]
}

/// One process: every average is its own value.
public struct SingleProcess: GradientReducer {
    /// A reducer without others to average with.
    public init() {}

    /// The tensors as they are.
    public func average(_ tensors: [String: Tensor]) -> [String: Tensor] { tensors }
}

/// A mean of named tensors that come one after the other. The first are kept as they are, so that
/// the mean of a single one has its bits.
struct RunningMean {
    private var sums: [String: (sum: Tensor, count: Int)] = [:]

    /// Takes up the tensors of another batch.
    mutating func add(_ tensors: [String: Tensor]) {
        for (name, tensor) in tensors {
            guard let found = sums[name] else {
                sums[name] = (tensor, 1)
                continue
            }
            sums[name] = (found.sum + tensor, found.count + 1)
        }
    }

    /// The means: of each name over all `count` batches, or over those that had it.
    ///
    /// - Parameter count: The number of all batches; nil to count those that had the name.
    /// - Returns: The means by name.
    func means(over count: Int? = nil) -> [String: Tensor] {
        sums.mapValues { found in
            let divisor = count ?? found.count
            return divisor == 1 ? found.sum : found.sum.scaled(by: 1 / Float(divisor))
        }
    }
}
