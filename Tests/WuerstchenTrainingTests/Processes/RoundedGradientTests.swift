import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@testable import WuerstchenTraining

/// Gradients that shards send each other as bfloat16.
@Suite("Rounded gradients") struct RoundedGradientTests {
    private let sizes = ["a": 5, "b": 3, "c": 4, "d": 7]

    private func leaf(_ index: Int, _ step: Int) -> [String: Tensor] {
        var tensors = sizes.mapValues { Tensor.random([$0], seed: 31 * step + index, spread: 2) }
        // Some have no gradient now and then.
        if index == 2 || index == 6 || step == 1 && index > 3 { tensors["b"] = nil }
        if step == 2 { tensors["c"] = nil }
        return tensors
    }

    /// The sums of a few steps by parameter, and what was lost by shard and parameter.
    private func sums(
        _ processes: Int, steps: Int
    ) throws -> (sums: [[String: [Float]]], errors: [Int: [String: [Float]]]) {
        let shapes = sizes.mapValues { Shape([$0]) }
        let owners = ParameterParts(sizes, count: processes)
        let own = 8 / processes
        let results = try ThreadGroup.run(processes) { member in
            let first = member.process.rank * own
            var rounding = GradientRounding(
                parts: ParameterParts(self.sizes, count: 8), errors: [:])
            var sums: [[String: [Float]]] = []
            for step in 0..<steps {
                let reducer = GradientReducer(
                    ShardTree(first: first, rounding: rounding), shards: own,
                    planned: step % 2 == 0 || processes == 1 ? [] : ["d", "b", "c"], shapes, owners,
                    .ordered, member)
                for index in first..<first + own {
                    for (name, tensor) in self.leaf(index, step) { reducer.add(name, tensor) }
                    reducer.endShard()
                }
                _ = try reducer.finish()
                let known = (0..<8).reduce(into: Set()) { $0.formUnion(self.leaf($1, step).keys) }
                let (found, errors) = try reducer.sums(known.sorted())
                rounding = try #require(errors)
                sums.append(found.mapValues(\.elements))
            }
            return (sums, rounding.errors.mapValues { $0.mapValues(\.elements) })
        }
        var (all, errors) = (
            [[String: [Float]]](repeating: [:], count: steps), [Int: [String: [Float]]]()
        )
        for result in results {
            let (sums, lost) = try result.get()
            for step in 0..<steps { all[step].merge(sums[step]) { _, _ in [] } }
            errors.merge(lost) { _, _ in [:] }
        }
        return (all, errors)
    }

    @Test("any number of processes comes to the same bits, in sums and in what is lost")
    func processes() throws {
        let (expected, lost) = try sums(1, steps: 4)
        // A shard sends everything but its own part.
        let parts = ParameterParts(sizes, count: 8)
        for name in sizes.keys { #expect(lost[parts[name]]?[name] == nil) }
        #expect(lost.values.contains { $0.values.contains { $0.contains { $0 != 0 } } })
        for processes in [2, 4, 8] {
            let (found, errors) = try sums(processes, steps: 4)
            #expect(found == expected, "\(processes)")
            #expect(errors == lost, "\(processes)")
        }
    }

    @Test("nothing is lost in the long run: sums of sums are those of the gradients")
    func feedback() throws {
        let steps = 40
        let (found, lost) = try sums(4, steps: steps)
        for name in ["a", "d"] {
            for place in 0..<(sizes[name] ?? 0) {
                var (exact, sum) = (0.0, 0.0)
                for step in 0..<steps {
                    for index in 0..<8 {
                        exact += Double(leaf(index, step)[name]?.elements[place] ?? 0)
                    }
                    sum += Double(found[step][name]?[place] ?? 0)
                }
                let kept = lost.values.reduce(0) { $0 + Double($1[name]?[place] ?? 0) }
                #expect(abs(sum + kept - exact) < 1e-3, "\(sum) and \(kept) for \(exact)")
                #expect(abs(kept) < 0.1)
            }
        }
    }

    private func options(_ steps: Int = 6) -> TrainingOptions {
        var options = TrainingOptions(steps: steps, batchSize: 8, peakRate: 1e-2)
        options.precision = .float32
        options.shards = 4
        options.checkpointInterval = 0
        options.gradientPrecision = .bfloat16
        return options
    }

    private func parameters(_ state: TrainingState) -> [String: [Float]] {
        state.parameters.values.mapValues(\.elements)
    }

    @Test("a training comes to the same bits on any number of processes, also resumed")
    func training() throws {
        let folder = try TemporaryFolder()
        func file(_ name: String) -> URL { folder.url.appendingPathComponent(name) }
        let whole = try trainTogether(TinyStageC(), options(), on: 1, file: file("whole"))[0]
        for processes in [2, 4] {
            let name = "\(processes)"
            for state in try trainTogether(TinyStageC(), options(), on: processes, file: file(name))
            {
                #expect(parameters(state) == parameters(whole))
            }
        }
        _ = try trainTogether(TinyStageC(), options(), on: 2, file: file("resumed"), until: 2)
        _ = try trainTogether(
            TinyStageC(), options(), on: 4, file: file("resumed"), resumes: true, until: 4)
        _ = try trainTogether(TinyStageC(), options(), on: 1, file: file("resumed"), resumes: true)
        let expected = try TrainingState(contentsOf: file("whole"))
        #expect(expected.gradientErrors.values.flatMap(\.values).count > 0)
        for name in ["2", "4", "resumed"] {
            let found = try TrainingState(contentsOf: file(name))
            #expect(parameters(found) == parameters(expected))
            #expect(
                found.gradientErrors.mapValues { $0.mapValues(\.elements) }
                    == expected.gradientErrors.mapValues { $0.mapValues(\.elements) })
        }
        // And they are near those of gradients that are sent as they are.
        var exact = options()
        exact.gradientPrecision = .float32
        let other = try trainTogether(TinyStageC(), exact, on: 1)[0]
        #expect(parameters(other) != parameters(whole))
        for (name, value) in whole.parameters.values {
            let difference = (value - other.parameters.values[name, default: value]).meanSquare()
            #expect(difference.elements[0] < 1e-5, "\(name)")
        }
    }

    @Test("is a setting of a training, whose state says what was lost")
    func settings() throws {
        let folder = try TemporaryFolder()
        let file = folder.url.appendingPathComponent("state.safetensors")
        _ = try trainTogether(TinyStageC(), options(), on: 1, file: file, until: 2)
        var other = options()
        other.gradientPrecision = .float32
        expectError(.invalidRequest, "gradient precision bfloat16 (not nothing)") {
            _ = try trainTogether(TinyStageC(), other, on: 1, file: file, resumes: true)
        }
        let state = try TrainingState(contentsOf: file)
        let lost = try #require(state.gradientErrors.keys.min())
        var incomplete = state
        incomplete.gradientErrors[lost] = nil
        try incomplete.write(to: file)
        expectError(.malformedFile, "rounding took") {
            _ = try trainTogether(TinyStageC(), options(), on: 1, file: file, resumes: true)
        }
        var asked = options()
        asked.reduction = .fast
        expectError(.invalidRequest, "--reduce fast") { _ = try Trainer(TinyStageC(), asked) }
        asked = options()
        asked.shards = nil
        #expect(try Trainer(TinyStageC(), asked).options.shards == 8)
    }
}
