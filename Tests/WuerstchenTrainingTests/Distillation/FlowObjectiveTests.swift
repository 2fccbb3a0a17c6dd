import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@testable import WuerstchenTraining

@Suite("Flow objectives") struct FlowObjectiveTests {
    private static func couplings(_ teacher: TinyTeacher) throws -> (Couplings, TemporaryFolder) {
        let folder = try TemporaryFolder()
        try teacher.maker().make(64, in: folder.url)
        return (try Couplings(contentsOf: folder.url), folder)
    }

    private func options(_ steps: Int) -> TrainingOptions {
        var options = TrainingOptions(
            steps: steps, batchSize: 8, peakRate: 3e-3, weightDecay: 0, averageDecay: 0.9)
        options.precision = .float32
        return options
    }

    /// The last losses relative to the first.
    private func fall(_ losses: [Double], over count: Int) -> Double {
        let last: Double = losses.suffix(count).reduce(0, +)
        let first: Double = losses.prefix(count).reduce(0, +)
        return last / first
    }

    @Test("reflow straightens a teacher's flow, and one step then does more")
    func reflow() throws {
        let teacher = try TinyTeacher()
        let (pairs, folder) = try Self.couplings(teacher)
        defer { _ = folder }
        let (student, start) = try teacher.student()
        let objective = FlowObjective(student, couplings: pairs, times: .uniform)
        #expect(objective.name == "stage-c-reflow")
        var trainer = try Trainer(objective, options(150), start: start)
        var losses: [Double] = []
        while let report = try trainer.next() { losses.append(report.loss) }
        let after = try objective.measurements(trainer.state.average.values)
        #expect(fall(losses, over: 20) < 0.8)
        // Against the teacher itself, on the same pairs.
        let batch = objective.validationCouplings.first(32)
        let field = try teacher.context.field(
            of: teacher.stage, under: batch.conditions, guidance: 2)
        let step = try field.solve(
            from: batch.noise, timesteps: field.map.timesteps(count: 1), solver: .euler
        ).latent
        let gap = try #require(after["gap, 1 steps"])
        let teachers = relativeDistance(step, batch.clean)
        #expect(gap < 0.8 * teachers, "\(gap), \(teachers)")
        let straightness = Double(try #require(after["straightness"]))
        let curved = try field.straightness(from: batch.noise, steps: 8).ratio
        #expect(straightness < 0.7 * curved, "\(straightness), \(curved)")
    }

    @Test("distillation to one step learns the beginning alone")
    func oneStep() throws {
        let teacher = try TinyTeacher()
        let (pairs, folder) = try Self.couplings(teacher)
        defer { _ = folder }
        let (student, start) = try teacher.student()
        let objective = FlowObjective(student, couplings: pairs, times: .beginning)
        var trainer = try Trainer(objective, options(150), start: start)
        let before = try objective.measurements(trainer.state.average.values)
        while try trainer.next() != nil {}
        let after = try objective.measurements(trainer.state.average.values)
        #expect(
            try #require(after["gap, 1 steps"]) < 0.8 * #require(before["gap, 1 steps"]),
            "\(before) \(after)")
    }

    @Test("attention that is kept does not move, and what is before it does")
    func keptAttention() throws {
        let teacher = try TinyTeacher()
        let (pairs, folder) = try Self.couplings(teacher)
        defer { _ = folder }
        let (student, start) = try teacher.student()
        var objective = FlowObjective(student, couplings: pairs, times: .uniform)
        objective.keepsAttention = true
        for precision in [Precision.float32, .bfloat16] {
            var options = options(6)
            options.precision = precision
            var trainer = try Trainer(objective, options, start: start)
            while try trainer.next() != nil {}
            for (name, value) in trainer.state.parameters.values where start[name] != nil {
                let isKept = name.contains(".attention.") || name.contains(".kv_mapper.")
                let moved = value.elements != start[name]?.elements
                // The timestep mappers of the very last blocks and the like all move.
                #expect(moved == !isKept, "\(name)")
            }
        }
    }

    @Test("student and discriminator learn from each other, each its own part")
    func discriminator() throws {
        let teacher = try TinyTeacher()
        let (pairs, folder) = try Self.couplings(teacher)
        defer { _ = folder }
        let (student, start) = try teacher.student()
        var objective = FlowObjective(student, couplings: pairs, times: .beginning)
        func loss(_ weight: Float, start: Double) -> AdversarialLoss<FlowOutput> {
            .latents(of: pairs, weight: weight, start: start)
        }
        objective.auxiliary = [loss(0.1, start: 0)]
        let values = try objective.initialParameters(seed: 1).values.merging(start) { $1 }
        #expect(values.keys.contains { $0.hasPrefix("adversary.") })
        // What deceives the discriminator changes the student's gradients, and none of its own.
        func gradients(weight: Float) throws -> [String: Tensor] {
            var objective = objective
            objective.auxiliary = [loss(weight, start: 0)]
            return try firstGradients(of: objective, values, batchSize: 4)
        }
        let (weak, strong) = (try gradients(weight: 0.01), try gradients(weight: 0.1))
        #expect(weak.keys.contains { $0.hasPrefix("adversary.") })
        for (name, gradient) in weak where name.hasPrefix("adversary.") {
            #expect(gradient.elements == strong[name]?.elements, "\(name)")
        }
        let last = "stage_c.out.1.weight"
        #expect(try #require(weak[last]).elements != #require(strong[last]).elements)
        objective.auxiliary = [loss(0.1, start: 0.5)]
        var trainer = try Trainer(objective, options(60), start: values)
        var told: Double = 1
        while let report = try trainer.next() {
            told = report.metrics.first { $0.name == "adversary" }?.value ?? 1
        }
        #expect(told < 0.25, "better than chance: \(told)")
        #expect(objective.validation?.auxiliary.isEmpty == true)
    }

    @Test("the mean and the deviation of latents")
    func moments() throws {
        let teacher = try TinyTeacher()
        let (pairs, folder) = try Self.couplings(teacher)
        defer { _ = folder }
        let elements = pairs.first(64).clean.elements.map(Double.init)
        let mean = elements.reduce(0, +) / Double(elements.count)
        let variance =
            elements.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(elements.count)
        #expect(abs(pairs.moments.mean - mean) < 1e-3 * max(1, abs(mean)))
        #expect(abs(pairs.moments.deviation - variance.squareRoot()) < 1e-3 * variance.squareRoot())
    }

    @Test("an interrupted reflow goes on to the same bits")
    func resumes() throws {
        let teacher = try TinyTeacher()
        let (pairs, folder) = try Self.couplings(teacher)
        defer { _ = folder }
        let (student, start) = try teacher.student()
        let objective = FlowObjective(student, couplings: pairs, times: .uniform)
        let file = try TemporaryFolder()
        let state = file.url.appendingPathComponent("state.safetensors")
        var whole = try Trainer(objective, options(6), start: start)
        while try whole.next() != nil {}
        var first = try Trainer(objective, options(6), file: state, start: start)
        for _ in 0..<3 { _ = try first.next() }
        try first.save()
        var second = try Trainer(objective, options(6), file: state, resumes: true)
        while try second.next() != nil {}
        for (name, value) in whole.state.parameters.values {
            #expect(second.state.parameters.values[name]?.elements == value.elements, "\(name)")
        }
    }

    @Test("Stage B learns from semantic latents, and says so where there are none")
    func stageB() throws {
        let teacher = try TinyTeacher()
        var c = StageB.Configuration()
        (c.channels, c.blocks, c.blockTypes) = ([16, 24], [1, 1], ["CT", "CTA"])
        (c.heads, c.injectsSemantics) = ([-1, 2], [false, true])
        (c.conditioningChannels, c.textChannels, c.semanticChannels) = (16, 8, 16)
        // A teacher may be a flow itself; a random network's latents are then of ordinary size.
        c.flow = FlowConfiguration()
        let stage = try StageB(
            configuration: c, parameters: RandomParameters(seed: 2),
            latentSpace: SemanticLatentSpace(scale: 1, offset: 0))
        let encoder = try TextEncoder<StageB>(
            tokenizer: teacher.textEncoder.tokenizer, model: teacher.textEncoder.model)
        let context = StageBContext(textEncoder: encoder)
        let conditions = FixedSemantics()
        var record = teacher.record()
        record.stage = "stage-b"
        record.solver = CouplingRecord.Solver(.euler, steps: 2, precision: .float32)
        var maker = PairGenerator(
            record, conditions: conditions,
            teacher: try CouplingTeacher(stage, in: context, rows: 32, columns: 32))
        maker.largest = 1e6
        let folder = try TemporaryFolder()
        try maker.make(16, in: folder.url)
        let student = FlowStudent(
            stage.blueprint, flow: FlowConfiguration(steps: 1), in: context)
        let objective = FlowObjective(
            student, couplings: try Couplings(contentsOf: folder.url), times: .beginning)
        var options = options(30)
        options.batchSize = 4
        var trainer = try Trainer(objective, options)
        var losses: [Double] = []
        while let report = try trainer.next() { losses.append(report.loss) }
        #expect(fall(losses, over: 8) < 0.95, "\(losses)")

        let (captions, kept) = try Self.couplings(teacher)
        defer { _ = kept }
        let wrong = FlowObjective(student, couplings: captions, times: .beginning)
        var blind = try Trainer(wrong, options)
        expectError(.invalidRequest, "no semantic latents") { _ = try blind.next() }
    }
}

/// Semantic latents of random numbers.
private struct FixedSemantics: ConditionSource {
    func conditions(_ range: Range<Int>) -> CouplingConditions {
        CouplingConditions(
            captions: range.map { "image \($0)" },
            semantics: Tensor.concatenating(
                range.map { Tensor.random([1, 3, 3, 16], seed: $0) }))
    }
}
