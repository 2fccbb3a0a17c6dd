import TensorCore
import Wuerstchen
import WuerstchenTraining
import _WuerstchenTestSupport

/// A very small Stage C that learns to predict fixed noise in fixed latents: fast, and as good as
/// any network for what trainers do.
struct TinyStageC: TrainingObjective {
    let name = "tiny"
    var breaksAt: Int?
    var recomputes = false
    static let configuration: StageC.Configuration = {
        var c = StageC.Configuration()
        (c.latentChannels, c.channels, c.textChannels) = (4, 24, 8)
        (c.timestepChannels, c.depth, c.heads) = (8, 2, 3)
        return c
    }()

    func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try parameters.add(
            "stage_c", from: InitialParameters(seed: seed)
        ) {
            _ = try StageC(configuration: TinyStageC.configuration, parameters: $0)
        }
        return parameters
    }

    func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        var stage = try StageC(
            configuration: TinyStageC.configuration, parameters: parameters.source("stage_c"),
            precision: step.precision)
        stage.checkpointsActivations = recomputes
        let clean = Tensor.random([step.batchSize, 3, 5, 4], seed: 1)
        let text = Tensor.random([step.batchSize, 6, 8], seed: 2)
        var random = step.random
        let noisy = NoisyLatents(
            clean, times: TimeDistribution().draw(step.batchSize, &random),
            schedule: NoiseSchedule(), random: &random)
        let predicted = try stage.predictNoise(
            noisy.latents, times: noisy.times, conditioning: stage.prepare(text: text))
        let loss = noisy.loss(predicted, .p2)
        return TrainingLoss(
            step.number == breaksAt ? loss.scaled(by: .nan) : loss)
    }
}

/// Images of noise.
struct NoiseImages: ImageSource {
    var side = 32

    func batch(_ number: Int, count: Int) -> ImageBatch {
        ImageBatch(
            pixels: .random([count, side, side, 3], seed: number, spread: 0.5, centre: 0.5),
            captions: (0..<count).map { "image \(number) \($0)" })
    }
}
