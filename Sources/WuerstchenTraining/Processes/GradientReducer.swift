private import Foundation
internal import TensorCore

/// The gradients of a step that a process moves parameters against: all of them where it is alone.
struct StepGradients {
    /// The gradients by parameter name.
    var own: [String: Tensor]
    /// The parameters that any process has gradients of.
    var names: [String] = []
}

/// Sums the gradients of a step over all shards and processes.
///
/// While the last shard's gradients are still computed, a thread of the reducer's own sends those
/// that are whole, bucket by bucket. The sums are the same bits as if they were sent afterwards.
///
/// `@unchecked Sendable`: what both threads touch is touched under the condition's lock, and what
/// the reducer's thread alone touches nobody else does before it has ended.
final class GradientReducer: @unchecked Sendable {
    private let buckets: (_ names: [String]) -> [ParameterBucket]
    /// The parameters that the thread sends.
    private let planned: Set<String>
    private let communicator: any Communicator
    private let reduction: GradientReduction

    private let condition = NSCondition()
    /// Gradients of the shard under way.
    private var gradients: [String: Tensor] = [:]
    /// The names of the last shard's gradients in the order in which they came, and of others'.
    private var order: [String] = []
    private var earlier: Set<String> = []
    private var shardsLeft: Int
    /// What the thread waits for.
    private var awaited: Set<String> = []
    private var isComplete = false
    private var isSent = true

    private var tree: ShardTree
    private var sums: [String: Tensor] = [:]
    private var failure: (any Error)?
    /// How long sums were on their way, and how long of that nothing was computed.
    private(set) var seconds = (all: 0.0, waited: 0.0)

    /// A reducer of nothing yet.
    ///
    /// - Parameters:
    ///   - tree: What sums over this process's shards, which come one after the other.
    ///   - shards: How many there are.
    ///   - planned: The parameters whose sums are sent while others are computed, in the order in
    ///     which they are likely to come; the same in all processes.
    ///   - shapes: The shapes of all parameters.
    ///   - owners: Which process moves which parameters.
    ///   - reduction: In which order gradients are summed over processes.
    ///   - communicator: The processes.
    init(
        _ tree: ShardTree, shards: Int, planned: [String], _ shapes: [String: Shape],
        _ owners: ParameterParts, _ reduction: GradientReduction,
        _ communicator: any Communicator
    ) {
        (self.tree, shardsLeft) = (tree, shards)
        (self.reduction, self.communicator) = (reduction, communicator)
        buckets = { ParameterBucket.buckets($0, shapes, owners, communicator) }
        // Only what the thread that asks for it does is measured.
        self.planned = MemoryMeter.isMeasuring ? [] : Set(planned)
        guard !self.planned.isEmpty else { return }
        isSent = false
        let first = buckets(planned)
        Thread { self.send(first) }.start()
    }

    /// Takes up a gradient of the shard under way.
    func add(_ name: String, _ gradient: Tensor) {
        condition.withLock {
            gradients[name] = gradient
            guard shardsLeft == 1 else { return }
            order.append(name)
            if awaited.remove(name) != nil, awaited.isEmpty { condition.broadcast() }
        }
    }

    /// Ends the shard under way, and begins the next one.
    func endShard() {
        // The thread waits for the last shard.
        guard shardsLeft > 1 else { return }
        tree.add(gradients)
        earlier.formUnion(gradients.keys)
        condition.withLock {
            gradients = [:]
            shardsLeft -= 1
            condition.broadcast()
        }
    }

    /// Ends the last shard, or a step that cannot be taken: the other processes get zeros for what
    /// they still wait for.
    ///
    /// - Returns: The parameters that there are gradients of, those of the last shard in the order
    ///   in which they came.
    /// - Throws: What communication threw.
    func finish() throws -> [String] {
        let start = ContinuousClock.now
        condition.withLock {
            isComplete = true
            condition.broadcast()
            while !isSent { condition.wait() }
        }
        if !planned.isEmpty { seconds.waited += (ContinuousClock.now - start).seconds }
        if let failure { throw failure }
        return order + earlier.subtracting(order).sorted()
    }

    /// Sums what was not planned.
    ///
    /// - Parameter names: The parameters that any process has gradients of, in the same order in
    ///   all.
    /// - Returns: The sums of what this process moves, and how sums were rounded.
    /// - Throws: What communication throws.
    func sums(_ names: [String]) throws -> ([String: Tensor], GradientRounding?) {
        for bucket in buckets(names.filter { !planned.contains($0) }) {
            let before = seconds.all
            try reduce(bucket, condition.withLock { take(bucket) })
            seconds.waited += seconds.all - before
        }
        // Of what was planned nobody may have had anything.
        let known = Set(names)
        return (sums.filter { known.contains($0.key) }, tree.rounding)
    }

    /// Sends buckets as they are filled.
    private func send(_ buckets: [ParameterBucket]) {
        do {
            for bucket in buckets {
                let gradients = condition.withLock {
                    while !isComplete, shardsLeft > 1 { condition.wait() }
                    awaited = Set(bucket.names.filter { self.gradients[$0] == nil })
                    while !isComplete, !awaited.isEmpty { condition.wait() }
                    return take(bucket)
                }
                try reduce(bucket, gradients)
            }
        } catch {
            failure = error
        }
        condition.withLock {
            isSent = true
            condition.broadcast()
        }
    }

    /// Takes a bucket's gradients of the last shard, under the lock.
    private func take(_ bucket: ParameterBucket) -> [String: Tensor] {
        var taken: [String: Tensor] = [:]
        for name in bucket.names { taken[name] = gradients.removeValue(forKey: name) }
        return taken
    }

    /// Sums a bucket over shards and processes.
    private func reduce(_ bucket: ParameterBucket, _ gradients: [String: Tensor]) throws {
        var totals: [String: Tensor] = [:]
        for name in bucket.names { totals[name] = tree.takeTotal(of: name, gradients[name]) }
        let start = ContinuousClock.now
        if communicator.process.count == 1 {
            sums.merge(totals) { $1 }
        } else if var rounding = tree.rounding {
            tree.rounding = nil
            sums.merge(try bucket.sum(totals, by: &rounding)) { $1 }
            tree.rounding = rounding
        } else {
            sums.merge(try bucket.sum(totals, by: reduction)) { $1 }
        }
        seconds.all += (ContinuousClock.now - start).seconds
    }
}
