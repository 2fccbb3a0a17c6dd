internal import TensorCore

/// The sum of the tensors of a step's shards in the fixed order of a binary tree, so that its bits
/// do not depend on how many processes compute them.
///
/// A shard that has no tensor of a name counts as zeros there.
struct ShardTree {
    private var levels: [(level: Int, tensors: [String: Tensor])] = []

    /// Takes up the tensors of the next shard. No more than one sum of each level is kept.
    mutating func add(_ tensors: [String: Tensor]) {
        var (level, sum) = (0, tensors)
        while let last = levels.last, last.level == level {
            levels.removeLast()
            sum = Self.sum(last.tensors, sum)
            level += 1
        }
        levels.append((level, sum))
    }

    /// The sum over as many shards as a power of two.
    var total: [String: Tensor] { levels.first?.tensors ?? [:] }

    private static func sum(
        _ first: [String: Tensor], _ second: [String: Tensor]
    ) -> [String: Tensor] {
        func zeros(_ tensor: Tensor) -> Tensor { Tensor(repeating: 0, tensor.shape) }
        var result = first
        for (name, tensor) in first where second[name] == nil {
            result[name] = tensor + zeros(tensor)
        }
        for (name, tensor) in second { result[name] = (first[name] ?? zeros(tensor)) + tensor }
        return result
    }
}

/// How gradients are summed over processes.
public enum GradientReduction: String, Sendable, CaseIterable {
    /// In a fixed order, to the same bits on any number of processes.
    case ordered
    /// As fast as the communicator can, in an order of its choice.
    case fast
}

extension Communicator {
    /// The sums of gradients over all processes.
    ///
    /// - Parameters:
    ///   - gradients: This process's sums over its shards.
    ///   - names: The names of all that any process has, in one order.
    ///   - shape: The shape of each.
    ///   - reduction: In which order they are summed.
    /// - Returns: The sums by name.
    /// - Throws: What communication throws.
    func sum(
        _ gradients: [String: Tensor], of names: [String], shape: (String) -> Shape,
        by reduction: GradientReduction
    ) throws -> [String: Tensor] {
        guard process.count > 1 else { return gradients }
        let counts = names.map { shape($0).count }
        let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: counts.reduce(0, +))
        defer { values.deallocate() }
        var first = 0
        for (name, count) in zip(names, counts) {
            let place = UnsafeMutableBufferPointer(rebasing: values[first..<first + count])
            if let gradient = gradients[name] {
                gradient.withUnsafeElements { _ = place.initialize(from: $0) }
            } else {
                place.initialize(repeating: 0)
            }
            first += count
        }
        switch reduction {
        case .ordered: try orderedSum(values)
        case .fast: try sum(values)
        }
        var result: [String: Tensor] = [:]
        first = 0
        for (name, count) in zip(names, counts) {
            let place = values[first..<first + count]
            result[name] = Tensor(shape(name)) { _ = $0.update(from: place) }
            first += count
        }
        return result
    }
}
