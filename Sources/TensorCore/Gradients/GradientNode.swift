internal import Synchronization

/// An operation that was recorded because one of its inputs was tracked.
///
/// Nodes know where they came from and not what was made of them, so what no result needs any more
/// is freed with it. A node's number is larger than those of all that it was computed from: going
/// through nodes by falling numbers meets each after everything that used it.
///
/// `@unchecked Sendable`: nothing changes after the initialiser.
package final class GradientNode: @unchecked Sendable {
    /// Turns the gradients of the operation's results into gradients for what it was computed from.
    typealias Pullback = (_ gradients: [Tensor?]) throws -> [(GradientEdge, Tensor)]

    let number: UInt64
    let pullback: Pullback?

    private static let count = Atomic<UInt64>(0)

    /// A node; without a pullback it is a leaf.
    init(_ pullback: Pullback?) {
        number = GradientNode.count.wrappingAdd(1, ordering: .relaxed).newValue
        self.pullback = pullback
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

    /// Whether an operation on values with these edges is to be recorded. Without tracked values it
    /// costs a comparison.
    static func isOn(_ edges: GradientEdge?...) -> Bool { isOn(edges) }

    static func isOn(_ edges: [GradientEdge?]) -> Bool {
        edges.contains { $0 != nil } && !isPaused
    }
}

/// Computes without recording, whatever is tracked.
public func withoutGradients<Result>(_ body: () throws -> Result) rethrows -> Result {
    try Recording.$isPaused.withValue(true, operation: body)
}
