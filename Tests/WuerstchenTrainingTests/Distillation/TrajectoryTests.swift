import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@testable import WuerstchenTraining

@Suite("A teacher's steps, of which a student takes several at once") struct TrajectoryTests {
    @Test("steps begin and end on equal times, whatever the rounding", arguments: 1...32)
    func grid(_ steps: Int) {
        let grid = StepGrid(steps: steps)
        for (number, time) in grid.times.enumerated() {
            let end = Double(number + 1) / Double(steps)
            #expect(abs(grid.end(of: time) - end) < 1e-12)
            // Four steps of a teacher in each, the last one to the very same end.
            let stops = StepGrid(steps: 4 * steps).stops(from: time, to: grid.end(of: time))
            #expect(stops.count == 4 && stops.last == grid.end(of: time), "\(stops)")
        }
        #expect(grid.end(of: grid.times[steps - 1]) == 1)
    }

    @Test("students of one and two steps learn from between their steps too")
    func extraTimes() {
        #expect(StepGrid(steps: 4).extraTimes.isEmpty)
        #expect(StepGrid(steps: 2).extraTimes == [0.25, 0.75])
        #expect(StepGrid(steps: 1).extraTimes == [0.25, 0.5, 0.75])
        #expect(StepGrid(steps: 2).end(of: 0.25) == 0.5)
        #expect(StepGrid(steps: 2).stops(from: 0.25, to: 1) == [0.5, 1])
        var random = RandomStream(1)
        let drawn = (0..<4000).map { _ in StepGrid(steps: 1).draw(&random) }
        let beginnings = drawn.count { $0 == 0 }
        #expect((2850...3150).contains(beginnings), "\(beginnings)")
        #expect(Set(drawn) == [0, 0.25, 0.5, 0.75])
    }

    @Test("they are those of Euler's method in the variables of either flow")
    func follows() throws {
        let teacher = try TinyTeacher()
        let conditions = CouplingConditions(captions: ["a red house", "a tree"])
        let noise = Tensor.random([2, 3, 3, 4], seed: 4, spread: 1.5)
        for guidance: Float in [1, 3] {
            let source = try TrajectoryTeacher(teacher.stage, steps: 8, guidance: guidance)
            let field = try teacher.context.field(
                of: teacher.stage, under: conditions, guidance: guidance)
            // The student's latents have a mean and a deviation, and its schedule is not clamped.
            let map = FlowMap(mean: 0.3, deviation: 1.7, isClamped: false)
            let expected = try field.solve(
                from: noise, timesteps: map.timesteps(count: 8), solver: .euler
            ).latent
            func follow(_ y: Tensor, _ times: [Double], _ ends: [Double]) throws -> Tensor {
                try source.follow(
                    y, from: times, to: ends, in: map, under: conditions, teacher.context)
            }
            let end = try follow(noise, [0, 0], [1, 1])
            let size = expected.meanSquare().elements[0].squareRoot()
            expectClose(map.latents(end), expected, 1e-3 * size)
            // In two parts that differ from sample to sample it is the same way.
            let middle = try follow(noise, [0, 0], [0.25, 0.5])
            expectClose(try follow(middle, [0.25, 0.5], [1, 1]), end, 1e-3 * size)
        }
    }

    private func expectClose(_ a: Tensor, _ b: Tensor, _ tolerance: Float) {
        let distance = (a - b).abs().elements.max() ?? .infinity
        #expect(distance < tolerance, "\(distance) of \(tolerance)")
    }

    @Test("a student can teach its own steps alone, and others must add up to it")
    func refused() throws {
        let teacher = try TinyTeacher()
        var student = teacher.stage.blueprint
        student.configuration.flow = FlowConfiguration(steps: 4)
        var initial = TrainableParameters()
        try initial.add(student, seed: 1)
        let stage = try student.stage(ParameterValues(initial.scope(StageC.scope)))
        expectError(.invalidRequest, "distilled to 4 steps", "not 8") {
            _ = try TrajectoryTeacher(stage, steps: 8)
        }
        expectError(.invalidRequest, "without guidance") {
            _ = try TrajectoryTeacher(stage, steps: 4, guidance: 3)
        }
        expectError(.invalidRequest, "a teacher of 0 steps") {
            _ = try TrajectoryTeacher(teacher.stage, steps: 0)
        }
        for (steps, words) in [(4, "such as 8"), (3, "such as 6")] {
            var learner = student
            learner.configuration.flow = FlowConfiguration(steps: steps)
            let objective = TrajectoryObjective(
                FlowStudent(learner, flow: FlowConfiguration(steps: steps), in: teacher.context),
                teacher: try TrajectoryTeacher(stage, steps: 4), latents: FixedLatents())
            expectError(.invalidRequest, words) { try objective.validate() }
        }
        for steps in [[], [0], [8, 3], [4, 4], [2, 4]] {
            expectError(.invalidRequest, "steps") { _ = try ProgressivePlan(steps: steps) }
        }
        expectError(.invalidRequest, "multiple, such as 32") {
            _ = try ProgressivePlan(steps: [8], teacherSteps: 12)
        }
        #expect(ProgressivePlan.steps(downTo: 2) == [8, 4, 2])
        #expect(ProgressivePlan.steps(downTo: 16) == [16])
    }
}

/// Latents of always the same two kinds.
struct FixedLatents: LatentSource {
    func latents(_ number: Int, count: Int) -> LatentBatch {
        var random = RandomStream(7, UInt64(number))
        let captions = (0..<count).map { _ in ["a tree", "at night"][random.integer(below: 2)] }
        let clean = captions.map {
            random.normal([1, 3, 3, 4]).scaled(by: 0.4, shift: $0 == "a tree" ? 1 : -1)
        }
        return LatentBatch(
            clean: Tensor.concatenating(clean), conditions: CouplingConditions(captions: captions))
    }
}
