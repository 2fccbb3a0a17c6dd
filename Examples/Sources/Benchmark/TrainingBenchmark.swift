import Wuerstchen
import WuerstchenScenes
import WuerstchenTraining

/// One step of training: forwards, backwards, clipping, AdamW, average.
enum TrainingBenchmark {
    /// At the sizes of the miniature: Stage C with 64 latents of 6×6, Stage B with 16 of 64×64.
    static func run(_ precision: Precision, _ table: inout ResultTable) throws {
        guard precision != .int8 else { return }
        let c = StageCStep(configuration: MiniatureArchitecture.stageC, side: 6, tokens: 32)
        let b = StageBStep(configuration: MiniatureArchitecture.stageB, side: 6, tokens: 32)
        try measure(c, batchSize: 64, precision, &table)
        try measure(b, batchSize: 16, precision, &table)
    }

    /// At the published widths, with few blocks: one image of 512×512, twenty steps, in which the
    /// loss must fall.
    static func runPublished(_ precision: Precision, _ table: inout ResultTable) throws {
        guard precision != .int8 else { return }
        var c = StageC.Configuration()
        c.depth = 2
        var b = StageB.Configuration()
        b.blocks = [1, 1, 1, 1]
        try fall(StageCStep(configuration: c, side: 12, tokens: 77), precision, &table)
        try fall(StageBStep(configuration: b, side: 12, tokens: 77), precision, &table)
        try distil(c, b, precision, &table)
    }

    /// Couplings of a teacher of published width, and its students' training on them.
    private static func distil(
        _ c: StageC.Configuration, _ b: StageB.Configuration, _ precision: Precision,
        _ table: inout ResultTable
    ) throws {
        let seed: UInt64 = 3
        let teacherC = try StageC(
            configuration: c, parameters: InitialParameters(seed: seed),
            precision: precision)
        let teacherB = try StageB(
            configuration: b, parameters: InitialParameters(seed: seed),
            precision: precision)
        let textC = random("text", [1, 77, c.textChannels])
        let textB = random("text", [1, 77, b.textChannels])
        let semantic = SemanticLatent(
            embedding: random("semantic", [1, 12, 12, c.latentChannels]),
            space: SemanticLatentSpace())
        let side = teacherB.latentSide(forSemanticSide: 12) ?? 128
        let timesteps = try FlowMap(isClamped: true).timesteps(count: 2)
        let noiseC = normal([1, 12, 12, c.latentChannels])
        let noiseB = normal([1, side, side, b.latentChannels])
        var (endC, endB) = (noiseC, noiseB)
        try table.measureOnce("Stage C, published width, one coupling", precision) {
            endC = try teacherC.flow(
                TextEmbedding(prompts: textC, negatives: textC), guidance: 4
            ).solve(from: noiseC, timesteps: timesteps, solver: .heun).latent
        }
        try table.measureOnce("Stage B, published width, one coupling", precision) {
            endB = try teacherB.flow(semantic, text: TextEmbedding(prompts: textB))
                .solve(from: noiseB, timesteps: timesteps, solver: .heun).latent
        }
        for isReflow in [true, false] {
            let student = isReflow ? "reflow" : "one step"
            // What networks of random weights make is of any size.
            func flow(to end: Tensor) -> FlowConfiguration {
                FlowConfiguration(
                    steps: isReflow ? nil : 1,
                    deviation: Double(end.meanSquare().elements[0]).squareRoot())
            }
            let studentC = with(c) { $0.flow = flow(to: endC) }
            let studentB = with(b) { $0.flow = flow(to: endB) }
            try fall(
                FlowStep(
                    name: "Stage C, \(student)", noise: noiseC, clean: endC, isReflow: isReflow,
                    addParameters: { try $0.addStageC(studentC, seed: $1) },
                    field: {
                        try StageC(
                            configuration: studentC, parameters: $0.source("stage_c"), precision: $1
                        ).flow(TextEmbedding(prompts: textC))
                    }), precision, &table)
            try fall(
                FlowStep(
                    name: "Stage B, \(student)", noise: noiseB, clean: endB, isReflow: isReflow,
                    addParameters: { try $0.addStageB(studentB, seed: $1) },
                    field: {
                        try StageB(
                            configuration: studentB, parameters: $0.source("stage_b"), precision: $1
                        ).flow(semantic, text: TextEmbedding(prompts: textB))
                    }), precision, &table)
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

/// Stage C learns to return twice its input, as fast as it learns anything else.
private struct StageCStep: TrainingObjective {
    let name = "training Stage C"
    let configuration: StageC.Configuration
    let side: Int
    let tokens: Int

    func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try parameters.addStageC(configuration, seed: seed)
        return parameters
    }

    func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        let stage = try StageC(
            configuration: configuration, parameters: parameters.source("stage_c"),
            precision: step.precision)
        let n = step.batchSize
        let x = normal([n, side, side, configuration.latentChannels])
        let text = try stage.prepare(text: random("text", [n, tokens, configuration.textChannels]))
        let result = try stage.predictNoise(x, times: fixedTimes(n), conditioning: text)
        return TrainingLoss((result - x.scaled(by: 2)).meanSquare())
    }
}

/// Stage B learns to return its input.
private struct StageBStep: TrainingObjective {
    let name = "training Stage B"
    let configuration: StageB.Configuration
    let side: Int
    let tokens: Int

    func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try parameters.addStageB(configuration, seed: seed)
        return parameters
    }

    func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        let stage = try StageB(
            configuration: configuration, parameters: parameters.source("stage_b"),
            precision: step.precision)
        let n = step.batchSize
        let latent = stage.latentSide(forSemanticSide: side) ?? 64
        let x = normal([n, latent, latent, configuration.latentChannels])
        let conditioning = try stage.prepare(
            semantic: random("semantic", [n, side, side, configuration.semanticChannels]),
            text: random("text", [n, tokens, configuration.textChannels]))
        let result = try stage.predictNoise(x, times: fixedTimes(n), conditioning: conditioning)
        return TrainingLoss((result - x).meanSquare())
    }
}

/// A student learns a single coupling.
private struct FlowStep: TrainingObjective {
    let name: String
    let noise: Tensor
    let clean: Tensor
    let isReflow: Bool
    let addParameters: @Sendable (inout TrainableParameters, _ seed: UInt64) throws -> Void
    let field: @Sendable (StepParameters, Precision) throws -> FlowField

    func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try addParameters(&parameters, seed)
        return parameters
    }

    func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        var random = step.random
        let flowTime = isReflow ? random.uniform() : 0
        let field = try field(parameters, step.precision)
        let end = field.map.normalized(clean)
        let y = Tensor.combine(flowTime, end, 1 - flowTime, noise)
        let seen = try field(y, at: Double(flowTime))
        return TrainingLoss((seen.velocity - (end - noise)).meanSquare())
    }
}

/// A value after a change.
private func with<Value>(_ value: Value, _ change: (inout Value) -> Void) -> Value {
    var value = value
    change(&value)
    return value
}

/// The same standard normal numbers in every step.
private func normal(_ shape: Shape) -> Tensor {
    var random = RandomStream(7)
    return random.normal(shape)
}

private func fixedTimes(_ count: Int) -> [Float] { (0..<count).map { Float($0) / Float(count) } }
