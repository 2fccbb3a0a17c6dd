import ExampleSupport
import Wuerstchen
import WuerstchenTraining

/// One step of training: forwards, backwards, clipping, AdamW, average.
enum TrainingBenchmark {
    /// At the sizes of the miniature: Stage C with 64 latents of 6×6, Stage B with 16 of 64×64.
    static func run(_ precision: Precision, _ table: inout ResultTable) throws {
        guard precision != .int8 else { return }
        try measure(step(StageC.self), batchSize: 64, precision, &table)
        try measure(step(StageB.self), batchSize: 16, precision, &table)
        try measureFrozen(step(StageC.self), batchSize: 64, precision, &table)
        try measureFrozen(step(StageB.self), batchSize: 16, precision, &table)
    }

    /// Forwards and backwards alone: through weights that are learnt, and through frozen ones to
    /// the input, as adapters and losses of other networks' features have it.
    private static func measureFrozen<Stage: BenchmarkedStage>(
        _ step: StageStep<Stage>, batchSize: Int, _ precision: Precision,
        _ table: inout ResultTable
    ) throws {
        let values = try step.initialParameters(seed: 3).scope(Stage.scope)
        func stage(_ values: [String: Tensor]) throws -> Stage {
            try step.blueprint.stage(ParameterValues(values), precision: precision)
        }
        let name = step.blueprint.description.name
        let learnt = try table.measureTime("\(name), gradients of all", precision) {
            let leaves = values.mapValues { $0.tracked() }
            _ = try step.loss(stage(leaves), batchSize) { $0.tracked() }.gradients()
        }
        let network = try stage(values)
        let frozen = try table.measureTime("\(name), frozen, of the input", precision) {
            _ = try step.loss(network, batchSize) { $0.tracked() }.gradients()
        }
        let saved = 100 * (1 - frozen / learnt)
        table.note("frozen weights save \(saved.rounded(to: 1)) % of it")
    }

    private static func step<Stage: BenchmarkedStage>(_ type: Stage.Type) -> StageStep<Stage> {
        StageStep(configuration: Stage.miniature, side: 6, tokens: 32)
    }

    /// At the published widths, with few blocks: one image of 512×512, twenty steps, in which the
    /// loss must fall.
    static func runPublished(_ precision: Precision, _ table: inout ResultTable) throws {
        guard precision != .int8 else { return }
        try fall(StageStep<StageC>(configuration: StageC.shallow), precision, &table)
        try fall(StageStep<StageB>(configuration: StageB.shallow), precision, &table)
        try distil(StageC.self, precision, &table)
        try distil(StageB.self, precision, &table)
    }

    /// A coupling of a teacher of published width, and its students' training on it.
    private static func distil<Stage: BenchmarkedStage>(
        _ type: Stage.Type, _ precision: Precision, _ table: inout ResultTable
    ) throws {
        let blueprint = StageBlueprint<Stage>(configuration: Stage.shallow)
        let teacher = try blueprint.stage(InitialParameters(seed: 3), precision: precision)
        let (name, guidance) = (
            teacher.description.name, max(1, teacher.defaultSampling.guidance)
        )
        let timesteps = try teacher.flowMap.timesteps(count: 2)
        let noise = normal(try teacher.shape(side: 12, batch: 1))
        var end = noise
        try table.measureOnce("\(name), published width, one coupling", precision) {
            let conditioning = try teacher.conditioning(
                side: 12, batch: 1, tokens: 77, isGuided: guidance > 1)
            end = try teacher.flow(conditioning, guidance: guidance)
                .solve(from: noise, timesteps: timesteps, solver: .heun).latent
        }
        for isReflow in [true, false] {
            var student = blueprint
            // What networks of random weights make is of any size.
            student.configuration.flow = FlowConfiguration(
                steps: isReflow ? nil : 1,
                deviation: Double(end.meanSquare().elements[0]).squareRoot())
            try fall(
                FlowStep(
                    name: "\(name), \(isReflow ? "reflow" : "one step")", student: student,
                    noise: noise, clean: end, isReflow: isReflow), precision, &table)
        }
    }

    private static func measure<Objective: TrainingObjective>(
        _ objective: Objective, batchSize: Int, _ precision: Precision, _ table: inout ResultTable
    ) throws {
        var options = TrainingOptions(steps: 1000, batchSize: batchSize, peakRate: 1e-4)
        options.precision = precision
        var trainer = try Trainer(objective, options)
        for _ in 0..<2 { _ = try trainer.next() }
        try table.measureTime("\(objective.name), step of \(batchSize)", precision) {
            _ = try trainer.next()
        }
    }

    private static func fall<Objective: TrainingObjective>(
        _ objective: Objective, _ precision: Precision, _ table: inout ResultTable
    ) throws {
        var options = TrainingOptions(steps: 20, batchSize: 1, peakRate: 1e-4)
        options.precision = precision
        var trainer = try Trainer(objective, options)
        var losses: [Double] = []
        try table.measureOnce("\(objective.name), published width, 20 steps", precision) {
            while let report = try trainer.next() { losses.append(report.loss) }
        }
        table.note("loss \(losses.first ?? 0) to \(losses.last ?? 0)")
    }
}

/// A stage learns to return its input times a number, as fast as it learns anything else.
private struct StageStep<Stage: BenchmarkedStage>: TrainingObjective {
    let blueprint: StageBlueprint<Stage>
    let side: Int
    let tokens: Int

    init(configuration: Stage.Configuration, side: Int = 12, tokens: Int = 77) {
        blueprint = StageBlueprint(configuration: configuration)
        self.side = side
        self.tokens = tokens
    }

    var name: String { "training \(blueprint.description.name)" }

    func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try parameters.add(blueprint, seed: seed)
        return parameters
    }

    func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        let stage = try blueprint.stage(
            parameters.source(Stage.scope), precision: step.precision)
        return TrainingLoss(try loss(stage, step.batchSize))
    }

    /// The loss of a batch whose latents are passed on as a caller has them.
    func loss(
        _ stage: Stage, _ count: Int, _ input: (Tensor) -> Tensor = { $0 }
    ) throws -> Tensor {
        let x = input(normal(try stage.shape(side: side, batch: count)))
        let result = try stage.predictNoise(
            x, times: (0..<count).map { Float($0) / Float(count) },
            conditioning: stage.conditioning(
                side: side, batch: count, tokens: tokens, isGuided: false))
        return (result - x.scaled(by: Stage.goal)).meanSquare()
    }
}

/// A student learns a single coupling.
private struct FlowStep<Stage: BenchmarkedStage>: TrainingObjective {
    let name: String
    let student: StageBlueprint<Stage>
    let noise: Tensor
    let clean: Tensor
    let isReflow: Bool

    func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try parameters.add(student, seed: seed)
        return parameters
    }

    func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        var random = step.random
        let flowTime = isReflow ? random.uniform() : 0
        let stage = try student.stage(
            parameters.source(Stage.scope), precision: step.precision)
        let field = try stage.flow(
            stage.conditioning(side: 12, batch: 1, tokens: 77, isGuided: false))
        let end = field.map.normalized(clean)
        let y = Tensor.combine(flowTime, end, 1 - flowTime, noise)
        let seen = try field(y, at: Double(flowTime))
        return TrainingLoss((seen.velocity - (end - noise)).meanSquare())
    }
}

/// The same standard normal numbers in every step.
private func normal(_ shape: Shape) -> Tensor {
    var random = RandomStream(7)
    return random.normal(shape)
}
