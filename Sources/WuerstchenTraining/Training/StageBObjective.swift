internal import TensorCore
public import Wuerstchen

/// Stage B: predicting the noise in Stage A's latents under semantic latents and captions, with or
/// without the compressor learning along.
///
/// As published, the semantic latents are sometimes dropped (zeros for a whole batch), and
/// sometimes noised, so that what Stage C makes, which is never perfect, is good enough.
///
/// Auxiliary losses, such as ``AdversarialLoss/patchesOfStageB(weight:)``, look at pixels: at what
/// Stage A makes of the latents, and of those that the prediction implies, for a share of the
/// batch.
public struct StageBObjective: ExtendableObjective {
    /// The part's name.
    public let name = "stage-b"
    /// How the stage learns.
    public var noise: NoisePrediction<StageB>
    /// How captions reach it.
    public var captions: CaptionEncoding
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
    /// The share of batches without semantic latents.
    public var semanticDropout: Float = 0.05
    /// The share of the other batches whose semantic latents are noised.
    public var semanticNoise: Float = 0.3
    /// Losses beside the error of the noise.
    public var auxiliary: [any AuxiliaryLoss<ImitatedImages>] = []
    /// The share of a batch that these are shown, at least one image.
    public var shownShare = 0.25
    /// The time up to which images are shown: with more noise there is nothing to see.
    public var shownTime: Float = 0.8

    /// An objective of the given parts.
    public init(
        _ noise: NoisePrediction<StageB>, captions: CaptionEncoding, images: any ImageSource,
        stageA: StageA, compressor: SemanticCompressor?
    ) {
        self.noise = noise
        self.captions = captions
        self.images = images
        self.stageA = stageA
        self.compressor = compressor
    }

    /// Refuses a flow, a text encoder, a compressor or a Stage A of another width than the stage
    /// takes, and a tokenizer of another vocabulary.
    public func validate() throws {
        var misfits = Misfits()
        let configuration = noise.blueprint.configuration
        try misfits.collect { try noise.blueprint.requireNoisePrediction() }
        try misfits.collect { try captions.tokenizer.requireFit(captions.configuration) }
        try misfits.collect { try configuration.requireFit(captions.configuration) }
        try misfits.collect {
            try configuration.requireFit(semanticChannels: SemanticCompressor.latentChannels)
        }
        try misfits.collect { try configuration.requireFit(stageA.configuration) }
        try misfits.report()
    }

    /// The parameters of stage, text encoder, auxiliary losses and, where it learns along,
    /// compressor.
    public func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try parameters.add(noise.blueprint, seed: seed)
        try parameters.addText(captions.configuration, seed: seed)
        if compressor == nil {
            try parameters.add("compressor", from: InitialParameters(seed: seed)) {
                _ = try SemanticCompressor(architecture: compressorArchitecture, parameters: $0)
            }
        }
        try auxiliary.addInitialParameters(to: &parameters, seed: seed)
        return parameters
    }

    /// Running statistics are not learnt, nor the text encoder unless it is asked for.
    public func isTrainable(_ name: String) -> Bool {
        !BatchNorm.isStatistic(name) && captions.lets(name)
    }

    /// The compressor moves half as fast; auxiliary losses' parameters are up to them.
    public func rateFactor(_ name: String) -> Float {
        auxiliary.rateFactor(name) ?? (name.hasPrefix("compressor.") ? 0.5 : 1)
    }

    /// The loss of a batch.
    public func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        var random = step.random
        let batch = try encoded(parameters, step)
        var semantic = batch.semantic
        if random.uniform() < semanticDropout {
            semantic = Tensor(repeating: 0, semantic.shape)
        } else if random.uniform() < semanticNoise {
            let times = (0..<step.batchSize).map { _ in random.uniform(0..<0.5) }
            semantic =
                NoisyLatents(
                    semantic, times: times, schedule: noise.blueprint.schedule, random: &random
                ).latents
        }
        let text = try captions(
            captions.dropping(batch.captions, &random), parameters, precision: step.precision)
        let stage = try noise.stage(parameters, precision: step.precision)
        let outcome = try noise(
            stage, batch.latents, conditioning: stage.prepare(semantic: semantic, text: text),
            random: &random)
        var loss = TrainingLoss(outcome.loss)
        if !auxiliary.isEmpty, let shown = try shown(outcome, batch.latents, &random) {
            try auxiliary.add(to: &loss, shown, parameters, step)
        }
        return loss
    }

    /// Some of a batch in pixels, as they are and as the stage sees them through the noise; nil
    /// where there is too much noise everywhere.
    private func shown(
        _ outcome: NoisePrediction<StageB>.Outcome, _ latents: Tensor, _ random: inout RandomStream
    ) throws -> ImitatedImages? {
        let times = outcome.noisy.times
        var rows = times.indices.filter { times[$0] <= shownTime }
        let count = max(1, Int(shownShare * Double(times.count)))
        while rows.count > count { rows.remove(at: random.integer(below: rows.count)) }
        guard !rows.isEmpty else { return nil }
        let clean = outcome.noisy.clean(outcome.predicted)
        func pixels(_ latents: Tensor) throws -> Tensor {
            try stageA.pixels(
                of: ImageLatent(
                    values: Tensor.concatenating(rows.map { latents[$0..<$0 + 1] })))
        }
        return ImitatedImages(real: try pixels(latents), fake: try pixels(clean))
    }

    /// The latents of a batch, from where they are kept if the images have them and the compressor
    /// stays as it is.
    private func encoded(_ parameters: StepParameters, _ step: TrainingStep) throws -> EncodedBatch
    {
        if compressor != nil, let kept = images as? any EncodedImageSource {
            return try kept.encoded(step.batch, count: step.batchSize)
        }
        let batch = try images.batch(step.batch, count: step.batchSize)
        let compressor = try compressor(parameters, step.precision)
        return EncodedBatch(
            semantic: try compressor.embed(compressor.reduced(batch.pixels)),
            latents: try stageA.latent(of: batch.pixels).values, captions: batch.captions)
    }

    private func compressor(
        _ parameters: StepParameters, _ precision: Precision
    ) throws -> SemanticCompressor {
        try compressor
            ?? SemanticCompressor(
                architecture: compressorArchitecture, parameters: parameters.source("compressor"),
                precision: precision, latentSpace: noise.blueprint.latentSpace)
    }

    /// With the stage's activations computed anew.
    public func checkpointingActivations() -> StageBObjective? {
        noise.checkpointsActivations ? nil : replacing(\.noise.checkpointsActivations, by: true)
    }

    /// The same over images that are not learnt from.
    public var validation: StageBObjective? {
        replacing(\.images, by: validationImages) {
            $0.auxiliary = auxiliary.validation()
        }
    }

    /// Images, and what Stages B and A make of their semantic latents in twelve steps.
    public func contactSheet(_ parameters: [String: Tensor]) throws -> ContactSheet? {
        let fixed = StepParameters(fixed: parameters)
        let batch = try (validationImages ?? images).batch(0, count: 8)
        let compressor = try compressor(fixed, .float32)
        let semantic = SemanticLatent(
            embedding: try compressor.embed(compressor.reduced(batch.pixels)),
            space: noise.blueprint.latentSpace)
        let stage = try noise.stage(fixed, precision: .bfloat16)
        func encoded(_ texts: [String]) throws -> Tensor {
            try captions(texts, fixed, precision: .bfloat16)
        }
        let text = TextEmbedding<StageB>(
            prompts: try encoded(batch.captions),
            negatives: try encoded(batch.captions.map { _ in "" }))
        let latent = try stage.sample(semantic, text: text, seed: 1)
        var sheet = ContactSheet(title: "Stage B", imageSide: 128)
        try sheet.addRow("images", batch.pixels)
        try sheet.addRow("from latents", stageA.pixels(of: latent), captions: batch.captions)
        return sheet
    }
}
