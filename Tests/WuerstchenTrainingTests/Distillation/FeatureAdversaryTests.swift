import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@testable import WuerstchenTraining

@Suite("An adversary of a stage's features") struct FeatureAdversaryTests {
    private let teacher: TinyTeacher
    private let source: TrajectoryTeacher<StageC>

    init() throws {
        teacher = try TinyTeacher()
        source = try TrajectoryTeacher(teacher.stage, steps: 4, guidance: 2)
    }

    private func adversary() -> FeatureAdversary<StageC> {
        FeatureAdversary(teacher.stage.blueprint, weights: teacher.values, in: teacher.context)
    }

    private func objective(
        _ adversary: FeatureAdversary<StageC>, steps: Int = 2
    ) -> TrajectoryObjective<StageC> {
        var flow = FlowConfiguration(steps: steps, guidance: 2)
        if steps == 1 { flow.prediction = .clean }
        var result = TrajectoryObjective(
            FlowStudent(teacher.stage.blueprint, flow: flow, in: teacher.context),
            teacher: source, latents: FixedLatents())
        result.auxiliary = [adversary]
        return result
    }

    private func options(_ steps: Int) -> TrainingOptions {
        var options = TrainingOptions(
            steps: steps, batchSize: 4, peakRate: 1e-3, weightDecay: 0, averageDecay: 0.9)
        options.precision = .float32
        options.checkpointInterval = 0
        return options
    }

    /// The loss of one step, its gradients by name, and its metrics.
    private func look(
        _ objective: TrajectoryObjective<StageC>, at number: Int, of count: Int = 100
    ) throws -> (gradients: [String: Tensor], metrics: [String: Float]) {
        var values = try objective.initialParameters(seed: 3)
        // The last layers begin as zeros, through which nothing could be learnt.
        for (name, value) in values.values where value.elements.allSatisfy({ $0 == 0 }) {
            var random = RandomStream(seed: 5, name: name)
            values.values[name] = random.normal(value.shape).scaled(by: 0.1)
        }
        let parameters = StepParameters(values.values, isTrainable: objective.isTrainable)
        let step = TrainingStep(
            number: number, count: count, batchSize: 4, precision: .float32,
            random: RandomStream(9))
        let loss = try objective.loss(parameters, step)
        let found = try loss.value.gradients()
        return (parameters.leaves.compactMapValues { found[$0] }, loss.metrics)
    }

    private func length(_ gradients: [String: Tensor], _ scope: String) -> Double {
        gradients.filter { $0.key.hasPrefix(scope) }.values.reduce(0) { $0 + $1.squareSum() }
            .squareRoot()
    }

    @Test("at first the discriminator alone learns, then the student from it, then without pairs")
    func phases() throws {
        let objective = objective(adversary())
        let (early, pair, single) = (
            try look(objective, at: 0), try look(objective, at: 30), try look(objective, at: 80)
        )
        let gradient = adversary().gradientName
        #expect(early.metrics[gradient] == nil)
        for found in [pair, single] {
            let length = try #require(found.metrics[gradient])
            #expect(length > 0 && length.isFinite)
        }
        for found in [early, pair, single] {
            #expect(length(found.gradients, "adversary.body.") > 0)
            #expect(length(found.gradients, "stage_c.") > 0)
            let loss = try #require(found.metrics[adversary().lossName])
            #expect(loss > 0 && loss.isFinite)
            for name in [adversary().realName, adversary().fakeName] {
                #expect((0...1).contains(try #require(found.metrics[name])))
            }
        }
        #expect(length(early.gradients, "adversary.pair.") > 0)
        #expect(length(pair.gradients, "adversary.pair.") > 0)
        #expect(length(pair.gradients, "adversary.single.") == 0)
        #expect(length(single.gradients, "adversary.pair.") == 0)
        #expect(length(single.gradients, "adversary.single.") > 0)
        // The body's own last layer judges nothing.
        #expect(length(pair.gradients, "adversary.body.out.") == 0)
        // What deceives the discriminator does not teach it.
        var silent = adversary()
        silent.start = 1
        let unheard = try look(self.objective(silent), at: 30)
        for (name, value) in unheard.gradients where name.hasPrefix("adversary.") {
            #expect(value.elements == pair.gradients[name]?.elements, "\(name)")
        }
        // And the student learns something else from it.
        #expect(
            unheard.gradients["stage_c.out.1.weight"]?.elements
                != pair.gradients["stage_c.out.1.weight"]?.elements)
    }

    @Test("the error stays an anchor: the stronger, the less is learnt from the discriminator")
    func anchor() throws {
        let name = "stage_c.out.1.weight"
        var silent = adversary()
        silent.start = 1
        let error = try #require(look(objective(silent), at: 30).gradients[name])
        func pull(_ anchor: Float) throws -> Double {
            var adversary = adversary()
            adversary.anchor.pair = anchor
            let both = try #require(look(objective(adversary), at: 30).gradients[name])
            return (both - error).squareSum().squareRoot()
        }
        let (weak, strong) = (try pull(0.5), try pull(2))
        #expect(abs(weak / strong - 4) < 0.05, "\(weak) \(strong)")
    }

    @Test("a student of one step predicts clean latents, and first learns to without an adversary")
    func oneStep() throws {
        let objective = objective(adversary(), steps: 1)
        #expect(try look(objective, at: 20).metrics[adversary().gradientName] == nil)
        #expect(try look(objective, at: 30).metrics[adversary().gradientName] != nil)
        let trained = try train(objective, steps: 40, batch: 8, rate: 3e-3)
        expectFall(trained.losses)
        #expect(trained.metrics["gap to the teacher"] == nil)
        let after = try objective.measurements(trained.state.average.values)
        #expect(try #require(after["gap to the teacher"]).isFinite)
        #expect(try #require(after["variety"]) > 0)
    }

    @Test("a discriminator tells a student from its teacher, which it learns within a few steps")
    func learns() throws {
        var adversary = adversary()
        // The student stays as bad as it begins.
        (adversary.start, adversary.relaxation) = (1, 2)
        var objective = objective(adversary)
        objective.student.blueprint.configuration.flow?.deviation = 3
        adversary.rate = 30
        objective.auxiliary = [adversary]
        var options = options(60)
        options.rate = LearningRate(peak: 1e-4, final: 1e-4, warmUp: 1, steps: 60)
        var trainer = try Trainer(objective, options)
        var last: [String: Double] = [:]
        while let report = try trainer.next() {
            for metric in report.metrics { last[metric.name] = metric.value }
        }
        #expect(try #require(last[adversary.lossName]) < 0.9, "\(last)")
        #expect(try #require(last[adversary.realName]) >= 0.75, "\(last)")
        #expect(try #require(last[adversary.fakeName]) >= 0.75, "\(last)")
    }

    @Test("a training with an adversary that was stopped goes on to the same bits")
    func resuming() throws {
        let folder = try TemporaryFolder()
        let file = folder.url.appendingPathComponent("state.safetensors")
        let objective = objective(adversary())
        var whole = try Trainer(objective, options(6))
        while try whole.next() != nil {}
        var first = try Trainer(objective, options(6), file: file)
        for _ in 0..<3 { _ = try first.next() }
        var second = try Trainer(objective, options(6), file: file, resumes: true)
        #expect(second.state.step == 3)
        while try second.next() != nil {}
        for (name, value) in whole.state.parameters.values {
            #expect(value.elements == second.state.parameters.values[name]?.elements, "\(name)")
        }
        var other = adversary()
        other.relaxation = 0.5
        expectError(.invalidRequest, "relaxation") {
            _ = try Trainer(self.objective(other), options(6), file: file, resumes: true)
        }
    }

    private func entries(
        _ count: Int = 5, loss: Double, real: Double, fake: Double, gradient: Double = 1e-3
    ) -> [MetricsLog.Entry] {
        let adversary = adversary()
        return (1...count).map {
            MetricsLog.Entry(
                step: $0, loss: 1,
                metrics: [
                    adversary.lossName: loss, adversary.realName: real, adversary.fakeName: fake,
                    adversary.gradientName: gradient,
                ])
        }
    }

    @Test("a collapse is noticed and named")
    func collapse() {
        let objective = objective(adversary())
        func expect(_ words: String, _ log: [MetricsLog.Entry]) {
            let warnings = objective.warnings(log)
            #expect(warnings.count == 1 && warnings[0].contains(words), "\(warnings)")
        }
        let healthy = entries(loss: 1.2, real: 0.7, fake: 0.6)
        #expect(objective.warnings(healthy).isEmpty)
        expect("has won", entries(loss: 0.01, real: 1, fake: 1))
        expect("all latents for the teacher's", entries(loss: 1.4, real: 1, fake: 0))
        expect("all latents for the student's", entries(loss: 1.4, real: 0, fake: 1))
        expect("gone flat", entries(loss: 1.386, real: 0.5, fake: 0.5, gradient: 1e-12))
        // One bad entry among good ones, or too few of them, is none.
        #expect(objective.warnings(entries(4, loss: 0.01, real: 1, fake: 1)).isEmpty)
        #expect(
            objective.warnings(
                entries(4, loss: 0.01, real: 1, fake: 1) + healthy.suffix(1)
            ).isEmpty)
        var last = healthy
        last[4].metrics["variety"] = 0.3
        expect("30 %", last)
    }

    @Test("a warning is said, and stands in the report")
    func reported() throws {
        struct Warned: TrainingObjective {
            var inner = TinyStageC()
            var name: String { inner.name }
            func initialParameters(seed: UInt64) throws -> TrainableParameters {
                try inner.initialParameters(seed: seed)
            }
            func loss(
                _ parameters: StepParameters, _ step: TrainingStep
            ) throws -> TrainingLoss { try inner.loss(parameters, step) }
            func warnings(_ log: [MetricsLog.Entry]) -> [String] {
                ["step \(log.last?.step ?? 0) is <bad>"]
            }
        }
        let folder = try TemporaryFolder()
        let said = SaidLines()
        var progress = TrainingProgress(isTerminal: false) { said.add($0) }
        _ = try TrainingRun(Warned(), options(2), in: folder.url)
            .run(resumes: false, progress: &progress)
        #expect(said.text.contains("step 2: step 2 is <bad>"), "\(said.text)")
        let page = try String(
            contentsOf: folder.url.appendingPathComponent("report.html"), encoding: .utf8)
        #expect(page.contains("step 2 is &lt;bad&gt;"))
    }
}

/// What a progress has said.
private final class SaidLines: @unchecked Sendable {
    private let lock = NSLock()
    private var lines = ""

    var text: String { lock.withLock { lines } }

    func add(_ text: String) { lock.withLock { lines += text } }
}
