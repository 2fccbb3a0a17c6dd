import Wuerstchen
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

    /// At the published widths, with few blocks: one picture of 512×512, twenty steps, in which the
    /// loss must fall.
    static func runPublished(_ precision: Precision, _ table: inout ResultTable) throws {
        guard precision != .int8 else { return }
        var c = StageC.Configuration()
        c.depth = 2
        var b = StageB.Configuration()
        b.blocks = [1, 1, 1, 1]
        try fall(StageCStep(configuration: c, side: 12, tokens: 77), precision, &table)
        try fall(StageBStep(configuration: b, side: 12, tokens: 77), precision, &table)
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
        print("    loss \(losses.first ?? 0) to \(losses.last ?? 0)")
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
        try parameters.add("stage_c", from: InitialParameters.stageC(configuration, seed: seed)) {
            _ = try StageC(configuration: configuration, parameters: $0)
        }
        return parameters
    }

    func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        let stage = try StageC(
            configuration: configuration, parameters: parameters.source("stage_c"),
            precision: step.precision)
        let n = step.batchSize
        let x = normal([n, side, side, configuration.latentChannels])
        let text = stage.prepare(text: random("text", [n, tokens, configuration.textChannels]))
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
        try parameters.add("stage_b", from: InitialParameters.stageB(configuration, seed: seed)) {
            _ = try StageB(configuration: configuration, parameters: $0)
        }
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

/// The same standard normal numbers in every step.
private func normal(_ shape: Shape) -> Tensor {
    var random = RandomStream(7)
    return random.normal(shape)
}

private func fixedTimes(_ count: Int) -> [Float] { (0..<count).map { Float($0) / Float(count) } }
