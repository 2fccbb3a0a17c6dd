public import TensorCore
public import Wuerstchen

/// A stage that learns to predict noise, whatever it is conditioned on.
public struct NoisePrediction<Stage: TrainableStage>: Sendable {
    /// All about the stage but its weights.
    public var blueprint: StageBlueprint<Stage>
    /// How often each noise level is learnt.
    public var times = TimeDistribution()
    /// How errors at different noise levels count.
    public var weighting: NoiseWeighting
    /// Whether activations are computed anew for gradients rather than kept.
    @Incidental public var checkpointsActivations = false

    /// The learning of a stage.
    public init(_ blueprint: StageBlueprint<Stage>, weighting: NoiseWeighting = .p2) {
        self.blueprint = blueprint
        self.weighting = weighting
    }

    /// The stage of a training's parameters.
    ///
    /// - Parameters:
    ///   - parameters: The parameters; the stage's are under its scope.
    ///   - precision: The numbers that it multiplies.
    /// - Returns: The stage.
    /// - Throws: What building it throws.
    public func stage(_ parameters: StepParameters, precision: Precision) throws -> Stage {
        var stage = try blueprint.stage(
            parameters.source(Stage.scope), precision: precision)
        stage.checkpointsActivations = checkpointsActivations
        return stage
    }

    /// What a stage sees in latents that are noised at random.
    public struct Outcome: Sendable {
        /// The noisy latents.
        public let noisy: NoisyLatents
        /// The noise that is predicted in them.
        public let predicted: Tensor
        /// The weighted mean squared error of the prediction, a tensor without axes.
        public let loss: Tensor
    }

    /// Noises latents at random times and has the stage predict the noise.
    ///
    /// - Parameters:
    ///   - stage: The stage, from ``stage(_:precision:)``.
    ///   - clean: Clean latents, `[batch, height, width, channels]`.
    ///   - conditioning: What the stage is given beside them.
    ///   - random: The source of times and noise.
    /// - Returns: The prediction and its error.
    /// - Throws: What the network throws.
    public func callAsFunction(
        _ stage: Stage, _ clean: Tensor, conditioning: Stage.Conditioning,
        random: inout RandomStream
    ) throws -> Outcome {
        let noisy = NoisyLatents(
            clean, times: times.draw(clean.shape[0], &random), schedule: blueprint.schedule,
            random: &random)
        let predicted = try stage.predictNoise(
            noisy.latents, times: noisy.times, conditioning: conditioning)
        return Outcome(
            noisy: noisy, predicted: predicted, loss: noisy.loss(predicted, weighting))
    }
}

extension StageBlueprint where Stage: CascadeStage {
    /// Refuses a flow, which predicts something else.
    ///
    /// - Parameter checkpoint: The checkpoint that the stage is in, to be named.
    /// - Throws: `WuerstchenError` with code `invalidRequest`.
    func requireNoisePrediction(in checkpoint: String? = nil) throws {
        guard configuration.flow == nil else {
            let stage = description.name + (checkpoint.map { " of \($0)" } ?? "")
            throw WuerstchenError(
                .invalidRequest,
                "\(stage) is a flow (flow in its config.json), which was distilled and does not learn "
                    + "from images; begin with the checkpoint that it was made from")
        }
    }
}
