import TensorCore
import Testing
import _WuerstchenTestSupport

@testable import WuerstchenTraining

@Suite("Sums in a fixed order") struct OrderedSumTests {
    /// The tree as it is written down.
    private func tree(_ values: [[Float]]) -> [Float] {
        guard values.count > 1 else { return values[0] }
        let half = values.count / 2
        return zip(tree(Array(values[..<half])), tree(Array(values[half...]))).map { $0 + $1 }
    }

    private func leaf(_ rank: Int, _ count: Int) -> [Float] {
        Tensor.random([max(1, count)], seed: 7 + rank, spread: 3).elements.prefix(count).map {
            $0 * [1, 1e4, 1e-3][rank % 3]
        }
    }

    @Test("every process has the tree's bits", arguments: [1, 2, 4, 8], [0, 1, 2, 7, 100])
    func processes(_ processes: Int, _ count: Int) throws {
        let expected = tree((0..<processes).map { leaf($0, count) })
        let leaves = (0..<processes).map { leaf($0, count) }
        let results = try ThreadGroup.run(processes) { member in
            var values = leaves[member.process.rank]
            try values.withUnsafeMutableBufferPointer { try member.orderedSum($0) }
            return values
        }
        #expect(results.count == processes)
        for result in results { #expect(try result.get() == expected) }
    }

    @Test("shards are summed in the same tree, however many processes have them")
    func shards() throws {
        let leaves = (0..<8).map { index in
            var tensors = ["a": Tensor(leaf(index, 5), [5])]
            // Some have no gradient, which counts as zeros.
            if index != 2, index < 6 { tensors["b"] = Tensor(leaf(index + 9, 3), [3]) }
            return tensors
        }
        func sums(_ processes: Int) throws -> [[String: Tensor]] {
            try ThreadGroup.run(processes) { member in
                let own = 8 / processes
                var tree = ShardTree()
                for index in member.process.rank * own..<(member.process.rank + 1) * own {
                    tree.add(leaves[index])
                }
                return try member.sum(
                    tree.total, of: ["a", "b"], shape: { $0 == "a" ? [5] : [3] }, by: .ordered)
            }.map { try $0.get() }
        }
        let expected = [
            "a": tree(leaves.map { $0["a"]?.elements ?? [] }),
            "b": tree(leaves.map { $0["b"]?.elements ?? [0, 0, 0] }),
        ]
        for processes in [1, 2, 4, 8] {
            for found in try sums(processes) {
                #expect(found.mapValues(\.elements) == expected, "\(processes)")
            }
        }
    }

    @Test("a report of shards comes out of its bytes as it was, not-a-numbers and all")
    func reports() throws {
        var report = ShardReport()
        report.losses = [
            TrainingLoss(
                Tensor([.nan], []), metrics: ["b": -0.0, "a": .infinity],
                auxiliary: ["map": .random([2, 3], seed: 1), "point": .random([1], seed: 2)]),
            TrainingLoss(Tensor([0.1], [])),
        ]
        report.statistics = [["mean": .random([4], seed: 3)], [:]]
        report.names = ["x.weight", "y.bias"]
        let read = try ShardReport(report.bytes())
        #expect(read.names == report.names && read.failure == nil)
        for (one, other) in zip(report.losses, read.losses) {
            #expect(
                one.value.elements.map(\.bitPattern) == other.value.elements.map(\.bitPattern))
            #expect(one.metrics.mapValues(\.bitPattern) == other.metrics.mapValues(\.bitPattern))
            #expect(
                one.auxiliary.mapValues(\.elements) == other.auxiliary.mapValues(\.elements))
            #expect(one.auxiliary.mapValues(\.shape) == other.auxiliary.mapValues(\.shape))
        }
        #expect(
            read.statistics.map { $0.mapValues(\.elements) }
                == report.statistics.map { $0.mapValues(\.elements) })
    }
}
