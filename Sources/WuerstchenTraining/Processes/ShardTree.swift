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
            var both: [String: Tensor] = [:]
            for name in Set(last.tensors.keys).union(sum.keys) {
                both[name] = self.sum(last.tensors[name], sum[name], name, level, end: end)
            }
            (sum, level) = (both, level + 1)
        }
        levels.append((level, sum))
    }

    /// Takes the sum of one name over as many shards as a power of two, the last of which was not
    /// taken up.
    ///
    /// - Parameters:
    ///   - name: The name.
    ///   - last: The last shard's tensor.
    /// - Returns: The sum; nil if no shard had any.
    mutating func takeTotal(of name: String, _ last: Tensor?) -> Tensor? {
        var sum = last
        for index in levels.indices.reversed() {
            let first = levels[index].tensors.removeValue(forKey: name)
            sum = self.sum(first, sum, name, levels[index].level, end: end + 1)
        }
        return sum
    }

    /// The sum of two branches of a level, the second of which ends before a shard.
    private mutating func sum(
        _ first: Tensor?, _ second: Tensor?, _ name: String, _ level: Int, end: Int
    ) -> Tensor? {
        guard let shape = (first ?? second)?.shape else { return nil }
        let zeros = Tensor(repeating: 0, shape)
        guard let isHigher = rounding?.isHigherSent(name, level: level) else {
            return (first ?? zeros) + (second ?? zeros)
        }
        let (kept, sent) = isHigher ? (first, second) : (second, first)
        var sum = kept ?? zeros
        guard let sent else { return sum + zeros }
        let begin = end - ((isHigher ? 1 : 2) << level)
        let shard = rounding?.sender(of: name, level: level, first: begin) ?? 0
        rounding?.add(sent, name, of: shard, to: &sum)
        return sum
    }
}

/// How gradients are summed over processes.
public enum GradientReduction: String, Sendable, CaseIterable {
    /// In a fixed order, to the same bits on any number of processes.
    case ordered
    /// As fast as the communicator can, in an order of its choice.
    case fast
}
