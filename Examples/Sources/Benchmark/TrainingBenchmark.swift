import Wuerstchen
import WuerstchenTraining

/// One step of training (forwards, backwards, clipping, AdamW, average) at the sizes of the small
/// cascade: Stage C with 64 latents of 6×6, Stage B with 16 of 64×64.
enum TrainingBenchmark {
    static func run(_ precision: Precision, _ table: inout ResultTable) throws {
        guard precision != .int8 else { return }
        try measure(StageCStep(), batchSize: 64, precision, &table)
        try measure(StageBStep(), batchSize: 16, precision, &table)
    }

    private static func measure<Objective: TrainingObjective>(
        _ objective: Objective, batchSize: Int, _ precision: Precision, _ table: inout ResultTable
    ) throws {
        var options = TrainingOptions(steps: 1000, batchSize: batchSize, peakRate: 1e-4)
        options.precision = precision
        var trainer = try Trainer(objective, options)
        for _ in 0..<2 { _ = try trainer.next() }
        try table.measureTime(
            "\(objective.name), step of \(batchSize)", precision
        ) {
            _ = try trainer.next()
        }
    }
}

/// Stage C learns to return its input, as fast as it learns anything else.
private struct StageCStep: TrainingObjective {
    let name = "training Stage C"
    private let configuration: StageC.Configuration = {
        var c = StageC.Configuration()
        (c.channels, c.textChannels, c.depth, c.heads) = (192, 128, 6, 6)
        return c
    }()

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
        let x = random("x", [step.batchSize, 6, 6, 16])
        let times = (0..<step.batchSize).map { Float($0) / Float(step.batchSize) }
        let text = stage.prepare(text: random("text", [step.batchSize, 32, 128]))
        let result = try stage.predictNoise(x, times: times, conditioning: text)
        return TrainingLoss((result - x).meanSquare())
    }
}

/// The same of Stage B.
private struct StageBStep: TrainingObjective {
    let name = "training Stage B"
    private let configuration: StageB.Configuration = {
        var c = StageB.Configuration()
        (c.channels, c.blocks, c.blockTypes) = ([64, 128, 192], [2, 2, 3], ["CT", "CT", "CTA"])
        (c.heads, c.injectsSemantics) = ([-1, -1, 6], [false, true, true])
        (c.conditioningChannels, c.textChannels) = (64, 128)
        return c
    }()

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
        let x = random("x", [step.batchSize, 64, 64, 4])
        let times = (0..<step.batchSize).map { Float($0) / Float(step.batchSize) }
        let conditioning = try stage.prepare(
            semantic: random("semantic", [step.batchSize, 6, 6, 16]),
            text: random("text", [step.batchSize, 32, 128]))
        let result = try stage.predictNoise(x, times: times, conditioning: conditioning)
        return TrainingLoss((result - x).meanSquare())
    }
}
