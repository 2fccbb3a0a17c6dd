import TensorCore
import Testing
import Wuerstchen
import WuerstchenScenes
import WuerstchenTraining
import _WuerstchenTestSupport

/// Parts that do not fit together are refused before the first step, all in one error.
@Suite("Parts that do not fit in training") struct MisfitTests {
    private struct Latents: SemanticSource {
        var channels = 16
        var latentChannels: Int? { channels }

        func semantics(_ number: Int, count: Int) throws -> SemanticBatch {
            SemanticBatch(
                latents: .random([count, 3, 3, channels], seed: number),
                captions: Array(repeating: "a house", count: count))
        }
    }

    private func stageC() throws -> StageCObjective {
        var c = StageC.Configuration()
        (c.channels, c.textChannels, c.timestepChannels, c.depth, c.heads) = (24, 16, 8, 1, 2)
        return StageCObjective(
            NoisePrediction(StageBlueprint(configuration: c)),
            captions: try tinyCaptions(),
            semantics: Latents())
    }

    private func stageB() throws -> StageBObjective {
        try tinyStageB(images: SceneImages(seed: 1))
    }

    private func begin(_ objective: some TrainingObjective) throws {
        _ = try Trainer(objective, TrainingOptions(steps: 1, batchSize: 2, peakRate: 1e-3))
    }

    @Test("Stage C with a text encoder, latents or a vocabulary of another kind")
    func stageCMisfits() throws {
        try begin(stageC())
        var objective = try stageC()
        objective.noise.blueprint.configuration.textChannels = 18
        expectError(.invalidConfiguration, "18 channels (c_cond)", "16 (hidden_size)") {
            try begin(objective)
        }
        objective.captions.configuration.vocabularySize = 5
        objective.captions.configuration.positions = 3
        objective.noise.blueprint.configuration.latentChannels = 10
        expectError(
            .invalidVocabulary, "3 things do not fit", "c_cond", "the text encoder 5",
            "10 channels (c_in)"
        ) { try begin(objective) }
        objective = try stageC()
        objective.captions.configuration.positions = 3
        expectError(.invalidVocabulary, "model_max_length") { try begin(objective) }
        objective = try stageC()
        objective.validationSemantics = Latents(channels: 4)
        expectError(.invalidConfiguration, "latents have 4") { try begin(objective) }
        objective = try stageC()
        objective.noise.blueprint.configuration.flow = FlowConfiguration(steps: 1)
        expectError(.invalidRequest, "Stage C is a flow") { try begin(objective) }
    }

    @Test("Stage B with a text encoder, a compressor or a Stage A of another kind")
    func stageBMisfits() throws {
        try begin(stageB())
        var objective = try stageB()
        objective.noise.blueprint.configuration.textChannels = 24
        expectError(.invalidConfiguration, "24 channels (clip_embd)", "16 (hidden_size)") {
            try begin(objective)
        }
        objective.noise.blueprint.configuration.semanticChannels = 12
        objective.noise.blueprint.configuration.latentChannels = 3
        objective.noise.blueprint.configuration.outputChannels = 3
        expectError(
            .invalidConfiguration, "3 things do not fit", "clip_embd", "effnet_embd",
            "they have 16",
            "3 channels (c_in)", "4 (latent_channels)"
        ) { try begin(objective) }
        objective = try stageB()
        objective.noise.blueprint.configuration.flow = FlowConfiguration(steps: 4)
        expectError(.invalidRequest, "Stage B is a flow") { try begin(objective) }
    }

    @Test("parameters to begin with that the networks have not are all named")
    func start() throws {
        let start = [
            "text.a": Tensor([0], [1]), "text.b": Tensor([0, 0], [2]),
        ]
        expectError(.incompatibleParameters, "text.a of shape [1]", "text.b of shape [2]") {
            _ = try Trainer(
                stageC(), TrainingOptions(steps: 1, batchSize: 2, peakRate: 1e-3), start: start)
        }
    }

    @Test("stages refuse conditions of another width rather than ending the process")
    func stages() throws {
        let c = try stageC()
        let stage = try StageC(
            configuration: c.noise.blueprint.configuration, parameters: RandomParameters(seed: 1))
        for shape: Shape in [[1, 4, 18], [4, 16], [0, 4, 16]] {
            expectError(.invalidRequest, "Stage C takes texts", "16]") {
                _ = try stage.prepare(text: Tensor(repeating: 0, shape))
            }
        }
        let b = try stageB()
        let decoder = try StageB(
            configuration: b.noise.blueprint.configuration, parameters: RandomParameters(seed: 1))
        func prepare(_ semantic: Shape, _ text: Shape) throws {
            _ = try decoder.prepare(
                semantic: Tensor(repeating: 0, semantic), text: Tensor(repeating: 0, text))
        }
        try prepare([2, 3, 3, 16], [1, 4, 16])
        expectError(.invalidRequest, "semantic latents") {
            try prepare([2, 3, 3, 12], [1, 4, 16])
        }
        expectError(.invalidRequest, "semantic latents") { try prepare([3, 3, 16], [1, 4, 16]) }
        expectError(.invalidRequest, "Stage B takes texts") {
            try prepare([2, 3, 3, 16], [1, 4, 9])
        }
        expectError(.invalidRequest, "equal runs") { try prepare([2, 3, 3, 16], [4, 4, 16]) }
    }
}
