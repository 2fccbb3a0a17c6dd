internal import TensorCore

/// The sum of the tensors of a step's shards in the fixed order of a binary tree, so that its bits
/// do not depend on how many processes compute them.
///
/// A shard that has no tensor of a name counts as zeros there, and sends none.
struct ShardTree {
    private var levels: [(level: Int, tensors: [String: Tensor])] = []
    /// How many shards there were, with those before the first.
    private var end: Int
    /// How sums are rounded on their way; nil where they are not.
    var rounding: GradientRounding?

    /// A tree of nothing yet.
    ///
    /// - Parameters:
    ///   - first: The number of the first shard.
    ///   - rounding: How sums are rounded on their way from one shard to another.
    init(first: Int = 0, rounding: GradientRounding? = nil) {
        (end, self.rounding) = (first, rounding)
    }

    /// Takes up the tensors of the next shard. No more than one sum of each level is kept.
    mutating func add(_ tensors: [String: Tensor]) {
        var (level, sum) = (0, tensors)
        end += 1
        while let last = levels.last, last.level == level {
            levels.removeLast()
            sum = self.sum(last.tensors, sum, level)
            level += 1
        }
        levels.append((level, sum))
    }

    /// Takes the sum over as many shards as a power of two.
    mutating func takeTotal() -> [String: Tensor] {
        levels.isEmpty ? [:] : levels.removeFirst().tensors
    }

    /// The sum of two branches, the second of which ends with the last shard.
    private mutating func sum(
        _ first: [String: Tensor], _ second: [String: Tensor], _ level: Int
    ) -> [String: Tensor] {
        var result: [String: Tensor] = [:]
        for name in Set(first.keys).union(second.keys) {
            guard let shape = (first[name] ?? second[name])?.shape else { continue }
            let zeros = Tensor(repeating: 0, shape)
            if let isHigher = rounding?.isHigherSent(name, level: level) {
                let (kept, sent) = isHigher ? (first, second) : (second, first)
                let begin = end - ((isHigher ? 1 : 2) << level)
                var sum = kept[name] ?? zeros
                if let sent = sent[name] {
                    let shard = rounding?.sender(of: name, level: level, first: begin) ?? 0
                    rounding?.add(sent, name, of: shard, to: &sum)
                } else {
                    sum = sum + zeros
                }
                result[name] = sum
            } else {
                result[name] = (first[name] ?? zeros) + (second[name] ?? zeros)
            }
        }
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
