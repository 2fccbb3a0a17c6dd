internal import Synchronization

/// An operation that was recorded because one of its inputs was tracked.
///
/// Nodes know where they came from and not what was made of them, so what no result needs any more
/// is freed with it. A node's number is larger than those of all that it was computed from: going
/// through nodes by falling numbers meets each after everything that used it.
///
/// A leaf gets its number when it is first computed with, and so do the nodes of a leaf alone, such
/// as that of a weight which a layer permutes when it is built: the gradient of a parameter is
/// whole as soon as those of the layers behind it are.
///
/// `@unchecked Sendable`: nothing changes after the initialiser but a node's number, once.
package final class GradientNode: @unchecked Sendable {
    /// Turns the gradients of the operation's results into gradients for what it was computed from.
    typealias Pullback = (_ gradients: [Tensor?]) throws -> [(GradientEdge, Tensor)]

    let pullback: Pullback?
    /// What gets its number just before the node does.
    private let source: GradientNode?
    /// Zero for a node that nothing was computed with yet.
    private let given: Atomic<UInt64>

    private static let count = Atomic<UInt64>(0)

    /// A leaf.
    init() {
        given = Atomic(0)
        (pullback, source) = (nil, nil)
    }

    /// An operation on values with the given edges.
    init(_ inputs: [GradientEdge?], _ pullback: @escaping Pullback) {
        let sources = inputs.compactMap { $0?.node }
        let isWaiting = sources.count == 1 && sources[0].number == 0
        source = isWaiting ? sources[0] : nil
        if !isWaiting { sources.forEach { $0.noteUse() } }
        given = Atomic(isWaiting ? 0 : GradientNode.newNumber())
        self.pullback = pullback
    }

    var number: UInt64 { given.load(ordering: .acquiring) }

    /// Notes that something is computed with the node. What is gets a higher number.
    func noteUse() {
        var path = [self]
        while let last = path.last, last.number == 0, let source = last.source {
            path.append(source)
        }
        for node in path.reversed() where node.number == 0 {
            _ = node.given.compareExchange(
                expected: 0, desired: GradientNode.newNumber(),
                ordering: .acquiringAndReleasing)
        }
    }

    private static func newNumber() -> UInt64 {
        count.wrappingAdd(1, ordering: .acquiringAndReleasing).newValue
    }

    /// The number that the next node will have, or more.
    static var nextNumber: UInt64 { count.load(ordering: .acquiring) + 1 }
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
    /// before it has a node, also while recording is paused: what is checkpointed is recorded
    /// later, from nodes that are older than its own. Without tracked values it costs a comparison.
    static func isOn(_ edges: GradientEdge?...) -> Bool { isOn(edges) }

    static func isOn(_ edges: [GradientEdge?]) -> Bool {
        guard isPaused else { return edges.contains { $0 != nil } }
        for case let edge? in edges { edge.node.noteUse() }
        return false
    }
}

/// Computes without recording, whatever is tracked.
public func withoutGradients<Result>(_ body: () throws -> Result) rethrows -> Result {
    try Recording.$isPaused.withValue(true, operation: body)
}
