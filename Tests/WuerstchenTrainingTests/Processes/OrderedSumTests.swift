import Dispatch
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
    private func parts(_ processes: Int, _ count: Int) -> ProcessParts {
        let cuts = [0] + (1..<processes).map { $0 * $0 * count / (processes * processes) } + [count]
        return ProcessParts((0..<processes).map { cuts[$0 + 1] - cuts[$0] })
    }

    @Test("parts that are sent together lie next to each other", arguments: [1, 2, 4, 8, 16])
    func layout(_ processes: Int) {
        let lengths = (0..<processes).map { $0 % 3 + 1 }
        let parts = ProcessParts(lengths)
        #expect(parts.ranges.map(\.count) == lengths)
        #expect(parts.count == lengths.reduce(0, +))
        for rank in 0..<processes {
            var rest = 0..<parts.count
            for level in 0..<processes.trailingZeroBitCount {
                let distance = 1 << level
                let kept = parts.kept(by: rank, at: distance)
                let given = parts.kept(by: rank ^ distance, at: distance)
                #expect(kept.count + given.count == rest.count && !kept.overlaps(given))
                #expect(rest.contains(kept.lowerBound) && rest.contains(given.lowerBound))
                rest = kept
            }
            #expect(rest == parts.ranges[rank])
        }
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
            let part = parts.ranges[member.process.rank]
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
        for (part, result) in zip(parts.ranges, results) {
            let (own, values) = try result.get()
            #expect(own == Array(expected[part]))
            #expect(values == expected)
        }
    }

    @Test(
        "shards are summed in the same tree, however many processes have them and when they send it",
        arguments: [[], ["b", "a", "d"]])
    func shards(_ planned: [String]) throws {
        let shapes: [String: Shape] = ["a": [5], "b": [3], "c": [2, 2], "d": [4]]
        let leaves = (0..<8).map { index in
            var tensors = ["a": Tensor(leaf(index, 5), [5])]
            // Some have no gradient, which counts as zeros; nobody has any of "d".
            if index != 2, index < 6 { tensors["b"] = Tensor(leaf(index + 9, 3), [3]) }
            if index % 2 == 0 { tensors["c"] = Tensor(leaf(index + 19, 4), [2, 2]) }
            return tensors
        }
        func sums(_ processes: Int) throws -> [[String: Tensor]] {
            let owners = ParameterParts(shapes.mapValues(\.count), count: processes)
            return try ThreadGroup.run(processes) { member in
                let own = 8 / processes
                let reducer = GradientReducer(
                    ShardTree(), shards: own, planned: processes == 1 ? [] : planned, shapes,
                    owners, .ordered, member)
                for index in member.process.rank * own..<(member.process.rank + 1) * own {
                    for (name, tensor) in leaves[index] { reducer.add(name, tensor) }
                    reducer.endShard()
                }
                let names = try reducer.finish()
                let last = leaves[(member.process.rank + 1) * own - 1]
                #expect(Set(names.prefix(last.count)) == Set(last.keys))
                return try reducer.sums(["a", "b", "c"]).0
            }.map { try $0.get() }
        }
        var expected: [String: [Float]] = [:]
        for name in ["a", "b", "c"] {
            let zeros = [Float](repeating: 0, count: shapes[name]?.count ?? 0)
            expected[name] = tree(leaves.map { $0[name]?.elements ?? zeros })
        }
        for processes in [1, 2, 4, 8] {
            var found: [String: [Float]] = [:]
            for sums in try sums(processes) {
                // Each has others.
                found.merge(sums.mapValues(\.elements)) { _, _ in [] }
            }
            #expect(found == expected, "\(processes)")
        }
    }

    /// A process that notes when something has arrived.
    private struct Watched: Communicator {
        let member: ThreadGroup.Member
        let arrival = DispatchSemaphore(value: 0)

        var process: ProcessRank { member.process }

        func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) {
            member.broadcast(bytes, from: root)
        }

        func exchange(
            _ sent: UnsafeRawBufferPointer, for received: UnsafeMutableRawBufferPointer,
            with peer: Int
        ) {
            member.exchange(sent, for: received, with: peer)
            arrival.signal()
        }

        func sum(_ values: UnsafeMutableBufferPointer<Float>) {
            member.sum(values)
            arrival.signal()
        }
    }

    @Test(
        "what is whole is sent while the rest is computed, and zeros after a failure",
        arguments: GradientReduction.allCases)
    func early(_ reduction: GradientReduction) throws {
        let shapes: [String: Shape] = ["a": [64], "b": [64], "c": [64]]
        let owners = ParameterParts(shapes.mapValues(\.count), count: 2)
        let results = try ThreadGroup.run(2) { member in
            let watched = Watched(member: member)
            let reducer = GradientReducer(
                ShardTree(), shards: 2, planned: ["b", "a", "c"], shapes, owners, reduction,
                watched)
            for name in ["c", "b", "a"] { reducer.add(name, Tensor(repeating: 1, [64])) }
            reducer.endShard()
            reducer.add("b", Tensor(repeating: 2, [64]))
            #expect(watched.arrival.wait(timeout: .now() + 60) == .success)
            // The second process fails here.
            if member.process.isFirst {
                for name in ["a", "c"] { reducer.add(name, Tensor(repeating: 4, [64])) }
            }
            let names = try reducer.finish()
            #expect(names == ["b", "a", "c"])
            return try reducer.sums(["a", "b", "c"]).0.mapValues(\.elements)
        }
        var found: [String: [Float]] = [:]
        for result in results { found.merge(try result.get()) { _, _ in [] } }
        #expect(found["b"] == [Float](repeating: 6, count: 64))
        for name in ["a", "c"] { #expect(found[name] == [Float](repeating: 6, count: 64)) }
        #expect(found.count == 3)
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
            // Of neighbours, whose gradients come together, all parts have some.
            if count <= 4 {
                for first in stride(from: 0, to: 40, by: 20) {
                    let near = (first..<first + 20).map { parts["layer \($0)"] }
                    #expect(Set(near).count == count)
                }
            }
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
