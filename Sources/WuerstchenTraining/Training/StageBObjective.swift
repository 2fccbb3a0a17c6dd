internal import TensorCore
public import Wuerstchen

/// Stage B: predicting the noise in Stage A's latents under semantic latents and captions, with or
/// without the compressor learning along.
///
/// As published, the semantic latents are sometimes dropped (zeros for a whole batch), and
/// sometimes noised, so that what Stage C makes, which is never perfect, is good enough.
public struct StageBObjective: TrainingObjective {
    /// The part's name.
    public let name = "stage-b"
    /// The architecture's numbers.
    public var configuration: StageB.Configuration
    /// The text encoder's numbers.
    public var textConfiguration: CLIPTextModel.Configuration
    /// Splits captions into tokens.
    public var tokenizer: CLIPTokenizer
    /// Images and captions.
    public var images: any ImageSource
    /// Images that are not learnt from.
    @Incidental public var validationImages: (any ImageSource)? = nil
    /// Stage A, which stays as it is.
    public var stageA: StageA
    /// The compressor, which stays as it is; nil for one that learns along.
    public var compressor: SemanticCompressor?
    /// The network of a compressor that learns along.
    public var compressorArchitecture = SemanticCompressor.Architecture.residual
    /// How the compressor's output relates to Stage C's latents.
    public var latentSpace = SemanticLatentSpace()
    /// How errors at different noise levels count.
    public var weighting: NoiseWeighting
    /// The share of captions that are replaced by nothing.
    public var captionDropout: Float = 0.1
    /// The share of batches without semantic latents.
    public var semanticDropout: Float = 0.05
    /// The share of the other batches whose semantic latents are noised.
    public var semanticNoise: Float = 0.3
    /// Whether the text encoder learns along.
    public var trainsText: Bool
    /// Whether activations are computed anew for gradients rather than kept.
    @Incidental public var checkpointsActivations = false
    /// How noise grows with time.
    public var schedule = NoiseSchedule()

    /// An objective for an architecture.
    public init(
        configuration: StageB.Configuration, textConfiguration: CLIPTextModel.Configuration,
        tokenizer: CLIPTokenizer, images: any ImageSource, stageA: StageA,
        compressor: SemanticCompressor?, weighting: NoiseWeighting = .p2, trainsText: Bool
    ) {
        self.configuration = configuration
        self.textConfiguration = textConfiguration
        self.tokenizer = tokenizer
        self.images = images
        self.stageA = stageA
        self.compressor = compressor
        self.weighting = weighting
        self.trainsText = trainsText
    }

    /// Refuses a text encoder, a compressor or a Stage A of another width than the stage takes, and
    /// a tokenizer of another vocabulary.
    public func validate() throws {
        var misfits = Misfits()
        try misfits.collect { try tokenizer.requireFit(textConfiguration) }
        try misfits.collect { try configuration.requireFit(textConfiguration) }
        try misfits.collect {
            try configuration.requireFit(semanticChannels: SemanticCompressor.latentChannels)
        }
        try misfits.collect { try configuration.requireFit(stageA.configuration) }
        try misfits.report()
    }

    /// The parameters of stage, text encoder and, where it learns along, compressor.
    public func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try parameters.addStageB(configuration, seed: seed)
        try parameters.addText(textConfiguration, seed: seed)
        if compressor == nil {
            try parameters.add("compressor", from: InitialParameters(seed: seed)) {
                _ = try SemanticCompressor(architecture: compressorArchitecture, parameters: $0)
            }
        }
        return parameters
    }

    /// Running statistics are not learnt, nor the text encoder unless it is asked for.
    public func isTrainable(_ name: String) -> Bool {
        !BatchNorm.isStatistic(name) && (trainsText || !name.hasPrefix("text."))
    }

    /// The compressor moves half as fast.
    public func rateFactor(_ name: String) -> Float { name.hasPrefix("compressor.") ? 0.5 : 1 }

    /// The loss of a batch.
    public func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        var random = step.random
        let batch = try images.batch(step.batch, count: step.batchSize)
        let compressor =
            try compressor
            ?? SemanticCompressor(
                architecture: compressorArchitecture, parameters: parameters.source("compressor"),
                precision: step.precision, latentSpace: latentSpace)
        var semantic = try compressor.embed(compressor.reduced(batch.pixels))
        if random.uniform() < semanticDropout {
            semantic = Tensor(repeating: 0, semantic.shape)
        } else if random.uniform() < semanticNoise {
            let times = (0..<step.batchSize).map { _ in random.uniform(0..<0.5) }
            semantic =
                NoisyLatents(semantic, times: times, schedule: schedule, random: &random).latents
        }
        let captions = batch.captions.map { random.uniform() < captionDropout ? "" : $0 }
        let text = try parameters.encode(
            captions, tokenizer, textConfiguration, precision: step.precision)
        var stage = try StageB(
            configuration: configuration, parameters: parameters.source("stage_b"),
            precision: step.precision, schedule: schedule)
        stage.checkpointsActivations = checkpointsActivations
        let clean = try stageA.encode(batch.pixels)
            .scaled(by: 1 / stageA.configuration.latentScale)
        let noisy = NoisyLatents(
            clean, times: TimeDistribution().draw(step.batchSize, &random),
            schedule: schedule, random: &random)
        let predicted = try stage.predictNoise(
            noisy.latents, times: noisy.times,
            conditioning: stage.prepare(semantic: semantic, text: text))
        return TrainingLoss(noisy.loss(predicted, weighting))
    }

    /// The same over images that are not learnt from.
    public var validation: StageBObjective? {
        validationImages.map {
            var result = self
            result.images = $0
            return result
        }
    }

    /// Images, and what Stages B and A make of their semantic latents in twelve steps.
    public func contactSheet(_ parameters: [String: Tensor]) throws -> ContactSheet? {
        let fixed = StepParameters(fixed: parameters)
        let batch = try (validationImages ?? images).batch(0, count: 8)
        let compressor =
            try compressor
            ?? SemanticCompressor(
                architecture: compressorArchitecture, parameters: fixed.source("compressor"),
                latentSpace: latentSpace)
        let semantic = SemanticLatent(
            embedding: try compressor.embed(compressor.reduced(batch.pixels)), space: latentSpace)
        let stage = try StageB(
            configuration: configuration, parameters: fixed.source("stage_b"),
            precision: .bfloat16, schedule: schedule)
        let text = try fixed.encode(
            batch.captions, tokenizer, textConfiguration, precision: .bfloat16)
        let latent = try stage.sample(semantic, text: TextEmbedding(prompts: text), seed: 1)
        var sheet = ContactSheet(title: "Stage B", imageSide: 128)
        try sheet.addRow("images", batch.pixels)
        try sheet.addRow(
            "from latents",
            stageA.decode(unscaled: latent.values.scaled(by: stageA.configuration.latentScale)))
        return sheet
    }
}
