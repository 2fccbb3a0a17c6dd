import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenScenes
import _WuerstchenTestSupport

@testable import WuerstchenTraining

/// What else several processes train together, whatever it leaves for the end of a step.
@Suite("Shared objectives") struct SharedObjectiveTests {
    private func options(_ steps: Int = 2) -> TrainingOptions {
        var options = TrainingOptions(steps: steps, batchSize: 4, peakRate: 3e-3)
        options.precision = .float32
        options.shards = 4
        return options
    }

    @Test("a compressor, whose batch norms see the images of all")
    func compressor() throws {
        try expectAlike(CompressorObjective(images: NoiseImages(side: 64)), options(), on: [2])
    }

    @Test("adapters")
    func adapters() throws {
        var frozen = TrainableParameters()
        try frozen.add("stage_c", from: RandomParameters(seed: 5)) {
            _ = try StageC(configuration: TinyStageC.configuration, parameters: $0)
        }
        try expectAlike(
            LoRAObjective(
                TinyStageC(), frozen: frozen.values,
                adapters: ["stage_c": LoRAConfiguration(rank: 2)]), options(), on: [4])
    }

    @Test("a text encoder, alone and with its stage")
    func text() throws {
        let captions = try tinyCaptions()
        try expectAlike(
            CaptionObjective(
                configuration: captions.configuration, tokenizer: captions.tokenizer,
                captions: (0..<9).map { "a red house \($0)" }), options(), on: [4])
        var stage = try tinyStageB(
            images: NoiseImages(side: 128),
            compressor: SemanticCompressor(
                architecture: .residual, parameters: RandomParameters(seed: 4)))
        stage.captions.trainsEncoder = true
        try expectAlike(stage, options(1), on: [4])
    }

    @Test("a Stage A with its adversary")
    func adversary() throws {
        var objective = tinyStageA(images: NoiseImages())
        objective.unquantizedShare = 0
        objective.auxiliary = [AdversarialLoss.patches(weight: 0.05)]
        try expectAlike(objective, options(), on: [2])
    }

    @Test("a student of few steps, in all phases of its adversary")
    func lightning() throws {
        let teacher = try TinyTeacher()
        var objective = TrajectoryObjective(
            FlowStudent(
                teacher.stage.blueprint, flow: FlowConfiguration(steps: 2, guidance: 2),
                in: teacher.context),
            teacher: try TrajectoryTeacher(teacher.stage, steps: 4, guidance: 2),
            latents: FixedLatents())
        objective.auxiliary = [
            FeatureAdversary(
                teacher.stage.blueprint, weights: teacher.values, in: teacher.context)
        ]
        try expectAlike(objective, options(4), on: [2])
    }
}
