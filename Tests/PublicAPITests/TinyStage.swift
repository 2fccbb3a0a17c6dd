import TensorCore
import Wuerstchen
import WuerstchenNN
import WuerstchenTraining

/// A stage of one's own: two layers that see each position by itself, told the time and a word.
struct TinyStage: TrainableStage {
    struct Configuration: DistillableConfiguration, Hashable {
        static let predictionLayer = "output"
        var channels = 2
        var width = 24
        var flow: FlowConfiguration?
    }

    static let identifier = "tiny-stage"
    /// Channels of time and words.
    static let embedding = 16

    let configuration: Configuration
    let latentSpace: SemanticLatentSpace
    let schedule: NoiseSchedule
    /// There is nothing worth computing anew.
    var checkpointsActivations = false
    private let network: Network

    init(
        configuration: Configuration, parameters source: any ParameterSource,
        precision: Precision, latentSpace: SemanticLatentSpace, schedule: NoiseSchedule
    ) throws {
        self.configuration = configuration
        self.latentSpace = latentSpace
        self.schedule = schedule
        network = try Parameters.load(from: source, precision: precision) {
            try Network($0, configuration)
        }
    }

    static func description(
        of configuration: Configuration, schedule: NoiseSchedule
    ) -> StageDescription {
        StageDescription(
            name: "Tiny stage", schedule: schedule, flow: configuration.flow,
            noiseSampling: .stageC, readsText: true, latentChannels: configuration.channels)
    }

    func predict(_ x: Tensor, times: [Float], conditioning: Tensor) -> Tensor {
        network(x, timestepEmbedding(times, width: TinyStage.embedding) + conditioning)
    }

    /// What is in front of the last layer.
    func hidden(_ x: Tensor, times: [Float], conditioning: Tensor) -> Tensor {
        network.features(
            x, timestepEmbedding(times, width: TinyStage.embedding) + conditioning)
    }

    /// What captions are to the network, a row of numbers for each.
    static func words(_ captions: [String]) -> Tensor {
        let values = captions.flatMap { caption in
            let value: Float = caption == "up" ? 1 : caption == "down" ? -1 : 0
            return [Float](repeating: value, count: embedding)
        }
        return Tensor(values, [captions.count, embedding])
    }

}

/// What is around the stage, which is nothing but words: under guidance captions, and then none.
struct TinyContext: StageContext {
    func conditioning(
        _ conditions: CouplingConditions, for stage: TinyStage, isGuided: Bool
    ) -> Tensor {
        TinyStage.words(
            conditions.captions + (isGuided ? conditions.captions.map { _ in "" } : []))
    }
}

private struct Network: Sendable {
    let input: Linear
    let condition: TimestepBlock
    let hidden: Linear
    let output: Linear

    init(_ parameters: Parameters, _ c: TinyStage.Configuration) throws {
        input = try Linear(parameters["input"], c.channels, c.width, role: .inputWeight)
        condition = try TimestepBlock(
            parameters["condition"], channels: c.width, embedding: TinyStage.embedding)
        hidden = try Linear(parameters["hidden"], c.width, c.width)
        output = try Linear(
            parameters["output"], c.width, c.channels, role: .outputWeight, initializer: .zeros)
    }

    func callAsFunction(_ x: Tensor, _ embedding: Tensor) -> Tensor {
        output(features(x, embedding))
    }

    func features(_ x: Tensor, _ embedding: Tensor) -> Tensor {
        let y = input(x)
        return hidden(condition(y, embedding), .gelu, residual: y)
    }
}

/// Learns latents that are high or low, as their captions say.
struct TinyObjective: TrainingObjective {
    let name = "tiny-stage"
    let noise = NoisePrediction(StageBlueprint<TinyStage>(configuration: .init()))

    /// Latents that are high or low, as captions say.
    static func latents(of captions: [String], _ random: inout RandomStream) -> Tensor {
        Tensor.concatenating(
            captions.map {
                random.normal([1, 2, 2, 2]).scaled(by: 0.3, shift: $0 == "up" ? 1 : -1)
            })
    }

    func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try parameters.add(noise.blueprint, seed: seed)
        return parameters
    }

    func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        var random = step.random
        let captions = (0..<step.batchSize).map { _ in
            ["up", "down"][random.integer(below: 2)]
        }
        let clean = TinyObjective.latents(of: captions, &random)
        let seen = captions.map { random.uniform() < 0.1 ? "" : $0 }
        let outcome = try noise(
            noise.stage(parameters, precision: step.precision), clean,
            conditioning: TinyStage.words(seen), random: &random)
        return TrainingLoss(outcome.loss)
    }
}
