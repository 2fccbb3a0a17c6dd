import TensorCore
import Testing
import Wuerstchen
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

    /// Parts of different lengths, some of nothing.
    private func parts(_ processes: Int, _ count: Int) -> [Range<Int>] {
        let cuts = [0] + (1..<processes).map { $0 * $0 * count / (processes * processes) } + [count]
        return (0..<processes).map { cuts[$0]..<cuts[$0 + 1] }
    }

    @Test(
        "each process has the tree's bits of its part, and then all", arguments: [1, 2, 4, 8],
        [0, 1, 2, 7, 100])
    func processes(_ processes: Int, _ count: Int) throws {
        let expected = tree((0..<processes).map { leaf($0, count) })
        let leaves = (0..<processes).map { leaf($0, count) }
        let parts = parts(processes, count)
        let results = try ThreadGroup.run(processes) { member in
            var values = leaves[member.process.rank]
            let part = parts[member.process.rank]
            let own = try values.withUnsafeMutableBufferPointer {
                try member.scatteredSum($0, parts)
                let own = Array($0[part])
                // What the others have comes from them.
                for place in $0.indices where !part.contains(place) { $0[place] = .nan }
                try member.gather($0, parts)
                return own
            }
            return (own, values)
        }
        #expect(results.count == processes)
        for (part, result) in zip(parts, results) {
            let (own, values) = try result.get()
            #expect(own == Array(expected[part]))
            #expect(values == expected)
        }
    }

    @Test("shards are summed in the same tree, however many processes have them")
    func shards() throws {
        let shapes: [String: Shape] = ["a": [5], "b": [3], "c": [2, 2]]
        let leaves = (0..<8).map { index in
            var tensors = ["a": Tensor(leaf(index, 5), [5])]
            // Some have no gradient, which counts as zeros.
            if index != 2, index < 6 { tensors["b"] = Tensor(leaf(index + 9, 3), [3]) }
            return tensors
        }
        func sums(_ processes: Int) throws -> [[String: Tensor]] {
            let owners = ParameterParts(shapes.mapValues(\.count), count: processes)
            return try ThreadGroup.run(processes) { member in
                let own = 8 / processes
                var tree = ShardTree()
                for index in member.process.rank * own..<(member.process.rank + 1) * own {
                    tree.add(leaves[index])
                }
                var total = tree.takeTotal()
                return try StepBuffer(["a", "b"], shapes, owners, member)
                    .sum(&total, by: .ordered)
            }.map { try $0.get() }
        }
        let expected = [
            "a": tree(leaves.map { $0["a"]?.elements ?? [] }),
            "b": tree(leaves.map { $0["b"]?.elements ?? [0, 0, 0] }),
        ]
        for processes in [1, 2, 4, 8] {
            var found: [String: [Float]] = [:]
            for sums in try sums(processes) {
                // Each has others.
                found.merge(sums.mapValues(\.elements)) { _, _ in [] }
            }
            #expect(found == expected, "\(processes)")
        }
    }

    @Test("parts are as long as whole tensors allow, and halves of those of half as many")
    func ownership() {
        var sizes: [String: Int] = [:]
        for index in 0..<60 { sizes["layer \(index)"] = [1, 64, 4096][index % 3] }
        let total = sizes.values.reduce(0, +)
        for count in [1, 2, 4, 8] {
            let parts = ParameterParts(sizes, count: count)
            let finer = ParameterParts(sizes, count: 2 * count)
            var lengths = [Int](repeating: 0, count: count)
            for (name, size) in sizes {
                lengths[parts[name]] += size
                #expect(finer[name] / 2 == parts[name])
            }
            for length in lengths { #expect(abs(length - total / count) <= 4096) }
            let order = sizes.keys.sorted().map { parts[$0] }
            #expect(order == order.sorted())
        }
        // More parts than tensors.
        let few = ParameterParts(["a": 3, "b": 0, "c": 9], count: 8)
        #expect(["a", "b", "c"].allSatisfy { (0..<8).contains(few[$0]) })
        #expect(ParameterParts([:], count: 4)["a"] == 0)
    }

    @Test("of published Stage C each of up to 64 processes moves about as much")
    func published() throws {
        var sizes: [String: Int] = [:]
        // Shapes alone.
        _ = try MemoryMeter.measure {
            var parameters = TrainableParameters()
            try parameters.add(
                StageBlueprint<StageC>(configuration: StageC.Configuration()), seed: 0)
            sizes = parameters.values.mapValues(\.count)
        }
        let total = sizes.values.reduce(0, +)
        #expect(total > 990_000_000 && total < 1_000_000_000)
        for count in [2, 4, 8, 16, 32, 64] {
            let parts = ParameterParts(sizes, count: count)
            var lengths = [Int](repeating: 0, count: count)
            for (name, size) in sizes { lengths[parts[name]] += size }
            let most = lengths.max() ?? 0
            // A process of 64 has no more than a few tensors.
            #expect(Double(most * count) < (count < 32 ? 1.07 : 1.25) * Double(total))
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
