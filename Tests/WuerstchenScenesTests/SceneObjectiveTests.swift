import TensorCore
import Testing
import Wuerstchen
import WuerstchenNN
import WuerstchenTraining
import _WuerstchenTestSupport

@testable import WuerstchenScenes

/// What is learnt from labels and captions of scenes: language, and what latents show.
@Suite("Scene objectives") struct SceneObjectiveTests {
    @Test("the text encoder learns what captions mention")
    func text() throws {
        let folder = try TemporaryFolder()
        try SceneTokenizer.write(to: folder.url)
        var c = CLIPTextModel.Configuration(channels: 32, hiddenChannels: 64, layers: 1, heads: 2)
        (c.positions, c.vocabularySize) = (32, 810)
        let objective = TextObjective(
            configuration: c, tokenizer: try CLIPTokenizer(contentsOf: folder.url),
            captions: SceneImages(seed: 1))
        let (losses, metrics, _) = try train(objective, steps: 40, batch: 16, rate: 1e-2)
        expectFall(losses)
        #expect((metrics["accuracy"] ?? 0) > 0.4)
    }

    @Test(
        "a reader of latents pulls predictions to what captions mention, and dropped ones are not asked"
    )
    func reader() throws {
        let folder = try TemporaryFolder()
        try SceneTokenizer.write(to: folder.url)
        var text = CLIPTextModel.Configuration(
            channels: 8, hiddenChannels: 16, layers: 1, heads: 2)
        (text.positions, text.vocabularySize) = (32, 810)
        var c = StageC.Configuration()
        (c.latentChannels, c.channels, c.textChannels) = (16, 24, 8)
        (c.timestepChannels, c.depth, c.heads) = (8, 2, 3)
        var objective = StageCObjective(
            NoisePrediction(StageBlueprint(configuration: c), weighting: .clean),
            captions: CaptionEncoding(
                text, tokenizer: try CLIPTokenizer(contentsOf: folder.url), trainsEncoder: true),
            semantics: LabelledNoise())
        let heads = try AttributeHeads(
            RandomParameters(seed: 8), features: LabelledNoise.features)
        func reader(weight: Float) -> CaptionReader {
            CaptionReader(heads, labels: LabelledNoise(), weight: weight)
        }
        objective.noise.times = TimeDistribution(highNoiseShare: 1)
        let start = try objective.initialParameters(seed: 0).values
        func read(_ parameters: [String: Tensor]) throws -> Float {
            let output = try objective.output(parameters, batch: 0, count: 16, time: 0.95)
            let shares = reader(weight: 0).measurements(output)
            return shares.values.reduce(0, +) / Float(shares.count)
        }
        let before = try read(start)
        objective.auxiliary = [reader(weight: 1)]
        let (_, metrics, state) = try train(objective, steps: 60, batch: 16)
        #expect(metrics["read"] != nil)
        #expect(try read(state.parameters.values) > before + 0.15)
        objective.captions.dropout = 1
        let (_, unasked, _) = try train(objective, steps: 2, batch: 16)
        #expect(unasked["read"] == nil)
    }

    @Test("heads on the compressor's latents learn, and only from latents of whole scenes")
    func compressorHeads() throws {
        let heads = CompressorHeads(
            labels: SceneImages(seed: 9), validationLabels: SceneImages(seed: 9, split: .heldOut))
        let parameters = StepParameters(fixed: try heads.initialParameters(seed: 1).values)
        let step = TrainingStep(
            number: 0, count: 10, batchSize: 2, precision: .float32, random: RandomStream(1))
        func terms(_ latents: Tensor, _ heads: CompressorHeads) throws -> AuxiliaryTerms? {
            try heads.loss(
                CompressorObjective.Output(batch: 3, latents: latents), parameters, step)
        }
        let latents = Tensor.random([2, 6, 6, 16], seed: 1).tracked()
        let found = try #require(try terms(latents, heads))
        #expect(found.weighted.map(\.weight) == [0.02])
        let gradient = try #require(try found.weighted[0].value.gradients()[latents])
        #expect(gradient.elements.contains { $0 != 0 })
        #expect(try terms(.random([2, 3, 6, 16], seed: 1), heads) == nil)
        let validation = try #require(heads.validation)
        let held = try #require(try terms(latents, validation))
        #expect(held.weighted[0].value.elements != found.weighted[0].value.elements)
    }
}

/// Random latents with the labels and captions of scenes.
private struct LabelledNoise: SemanticSource, SceneLabelSource {
    static let features = 2 * 2 * 16

    func semantics(_ number: Int, count: Int) -> SemanticBatch {
        SemanticBatch(
            latents: .random([count, 2, 2, 16], seed: 1),
            captions: SceneImages(seed: 9).captions(0, count: count).map(\.text))
    }

    func labels(_ number: Int, count: Int) -> [SceneLabels] {
        SceneImages(seed: 9).labels(0, count: count)
    }
}
