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

    /// Takes the sum over as many shards as a power of two.
    mutating func takeTotal() -> [String: Tensor] {
        levels.isEmpty ? [:] : levels.removeFirst().tensors
    }

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
