import TensorCore
import Wuerstchen
import WuerstchenScenes
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

/// The scenes' tokenizer with a text encoder of a few numbers.
func tinyCaptions() throws -> CaptionEncoding {
    let folder = try TemporaryFolder()
    try SceneTokenizer.write(to: folder.url)
    let tokenizer = try CLIPTokenizer(contentsOf: folder.url)
    var text = CLIPTextModel.Configuration(
        channels: 16, hiddenChannels: 32, layers: 1, heads: 2)
    (text.positions, text.vocabularySize) = (tokenizer.length, tokenizer.vocabularySize)
    return CaptionEncoding(text, tokenizer: tokenizer, trainsEncoder: false)
}

/// An objective for a Stage A of a few numbers.
func tinyStageA(images: any ImageSource) -> StageAObjective {
    var c = StageA.Configuration()
    (c.channels, c.bottleneckBlocks, c.codes) = (16, 1, 16)
    return StageAObjective(configuration: c, images: images)
}

/// An objective for a Stage B of a few numbers.
func tinyStageB(
    images: any ImageSource, compressor: SemanticCompressor? = nil
) throws -> StageBObjective {
    var c = StageB.Configuration()
    (c.channels, c.blocks, c.blockTypes) = ([16, 24, 32], [1, 1, 1], ["CT", "CT", "CTA"])
    (c.heads, c.injectsSemantics) = ([-1, -1, 2], [false, true, true])
    (c.conditioningChannels, c.textChannels) = (16, 16)
    var a = StageA.Configuration()
    (a.channels, a.bottleneckBlocks, a.codes) = (16, 1, 8)
    return StageBObjective(
        NoisePrediction(StageBlueprint(configuration: c)), captions: try tinyCaptions(),
        images: images,
        stageA: try StageA(configuration: a, parameters: RandomParameters(seed: 3)),
        compressor: compressor)
}
