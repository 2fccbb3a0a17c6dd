import TensorCore
import Testing
import _WuerstchenTestSupport

/// When gradients of leaves are handed over.
@Suite("Order of gradients") struct GradientOrderTests {
    private static let names = ["first", "second", "third"]

    /// The order of gradients of layers in a row, the first of whose weights may be used again by
    /// the last. Weights may be those of leaves, or made of them before anything is computed.
    private func order(
        reusesFirst: Bool = false, checkpoints: Bool, preparing: Bool = false
    ) throws -> [String] {
        let leaves = Dictionary(
            uniqueKeysWithValues: Self.names.enumerated().map {
                ($1, Tensor.random([4, 4], seed: $0).tracked())
            })
        // Tracked long before anything is computed with it.
        let unused = Tensor.random([4, 4], seed: 9).tracked()
        let weights = leaves.mapValues {
            preparing ? $0.reshaped(to: [16]).scaled(by: 2).reshaped(to: [4, 4]) : $0
        }
        func layer(_ input: Tensor, _ name: String) -> Tensor {
            let weight = weights[name] ?? unused
            return input.checkpointed(if: checkpoints) { $0.linear(weight) + $0 }
        }
        var value = Tensor.random([2, 4], seed: 5)
        for name in Self.names { value = layer(value, name) }
        if reusesFirst { value = layer(value, "first") }
        let loss = value.meanSquare()
        let expected = try loss.gradients()
        var all = leaves
        all["unused"] = unused
        var order: [String] = []
        try loss.gradients(of: all) { name, gradient in
            #expect(gradient.elements == leaves[name].flatMap { expected[$0] }?.elements)
            order.append(name)
        }
        return order
    }

    @Test("each comes when nothing that used its leaf is left", arguments: [false, true])
    func order(_ checkpoints: Bool) throws {
        for reusesFirst in [false, true] {
            for preparing in [false, true] {
                let order = try order(
                    reusesFirst: reusesFirst, checkpoints: checkpoints, preparing: preparing)
                #expect(order == Self.names.reversed())
            }
        }
    }

    @Test("what is checkpointed may be a leaf, or made of one", arguments: [false, true])
    func checkpointedLeaf(_ checkpoints: Bool) throws {
        let leaf = Tensor([1, 2, 3], [3]).tracked()
        for input in [leaf, leaf.scaled(by: 1)] {
            let loss = input.checkpointed(if: checkpoints) { $0 * $0 }.sum()
            #expect(try loss.gradients()[leaf]?.elements == [2, 4, 6])
        }
    }

    @Test("those of what was used late come before what was used early is gone through")
    func early() throws {
        let (early, late) = (
            Tensor.random([4, 4], seed: 1).tracked(), Tensor.random([4, 4], seed: 2).tracked()
        )
        // Goes through its input once more when its gradient is asked for.
        var passes = 0
        let inner = Tensor.random([2, 4], seed: 3).checkpointed(if: true) {
            passes += 1
            return $0.linear(early)
        }
        let loss = inner.linear(late).meanSquare()
        var found: [String] = []
        try loss.gradients(of: ["early": early, "late": late]) { name, _ in
            found.append("\(name) after \(passes)")
        }
        #expect(found == ["late after 1", "early after 2"])
    }

    @Test("what the taker throws ends the backward pass")
    func failure() throws {
        struct Enough: Error {}
        let (one, other) = (Tensor.random([4], seed: 1).tracked(), Tensor.random([4], seed: 2))
        let tracked = other.tracked()
        let loss = (one * tracked).meanSquare()
        var count = 0
        #expect(throws: Enough.self) {
            try loss.gradients(of: ["one": one, "other": tracked]) { _, _ in
                count += 1
                throw Enough()
            }
        }
        #expect(count == 1)
    }
}
