internal import TensorCore

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
