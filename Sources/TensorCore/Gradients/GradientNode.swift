internal import Synchronization

/// An operation that was recorded because one of its inputs was tracked.
///
/// Nodes know where they came from and not what was made of them, so what no result needs any more
/// is freed with it. A node's number is larger than those of all that it was computed from: going
/// through nodes by falling numbers meets each after everything that used it. A leaf has its number
/// from the first operation on it, and so is met as soon as nothing that used it is left.
///
/// `@unchecked Sendable`: nothing changes after the initialiser but a leaf's number, once.
package final class GradientNode: @unchecked Sendable {
    /// Turns the gradients of the operation's results into gradients for what it was computed from.
    typealias Pullback = (_ gradients: [Tensor?]) throws -> [(GradientEdge, Tensor)]

    let pullback: Pullback?
    /// Zero for a leaf that no operation has used yet.
    private let given: Atomic<UInt64>

    private static let count = Atomic<UInt64>(0)

    /// A node; without a pullback it is a leaf.
    init(_ pullback: Pullback?) {
        given = Atomic(pullback == nil ? 0 : GradientNode.newNumber())
        self.pullback = pullback
    }

    var number: UInt64 { given.load(ordering: .relaxed) }

    /// Notes that an operation uses the node. The operation's own node comes after that.
    func noteUse() {
        guard number == 0 else { return }
        _ = given.compareExchange(
            expected: 0, desired: GradientNode.newNumber(), ordering: .relaxed)
    }

    private static func newNumber() -> UInt64 {
        count.wrappingAdd(1, ordering: .relaxed).newValue
    }

    /// The number that the next node will have, or more.
    static var nextNumber: UInt64 { count.load(ordering: .relaxed) + 1 }
}

/// Where a tracked value comes from: one result of a node.
package struct GradientEdge: Sendable {
    let node: GradientNode
    let output: Int

    init(_ node: GradientNode, _ output: Int = 0) {
        self.node = node
        self.output = output
    }
}

/// Whether operations on tracked tensors are recorded.
enum Recording {
    @TaskLocal static var isPaused = false

    /// Whether an operation on values with these edges is to be recorded. Every operation asks
    /// before it has a node, also while recording is paused, as what is checkpointed is recorded
    /// later. Without tracked values it costs a comparison.
    static func isOn(_ edges: GradientEdge?...) -> Bool { isOn(edges) }

    static func isOn(_ edges: [GradientEdge?]) -> Bool {
        var isAny = false
        for case let edge? in edges {
            edge.node.noteUse()
            isAny = true
        }
        return isAny && !isPaused
    }
}

/// Computes without recording, whatever is tracked.
public func withoutGradients<Result>(_ body: () throws -> Result) rethrows -> Result {
    try Recording.$isPaused.withValue(true, operation: body)
}
