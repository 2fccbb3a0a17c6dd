public import TensorCore

extension StageB: TrainableStage {
    /// Its name in files and options.
    public static let identifier = "stage-b"

    /// What a configuration and a noise schedule say about a Stage B. Text enters it through
    /// attention, which published stages have.
    public static func description(
        of configuration: Configuration, schedule: NoiseSchedule
    ) -> StageDescription {
        StageDescription(
            name: "Stage B", schedule: schedule, flow: configuration.flow,
            noiseSampling: configuration.sampling?.options(schedule) ?? .stageB,
            readsText: configuration.hasAttention,
            latentChannels: configuration.latentChannels)
    }

    /// Turns semantic latents into image latents.
    ///
    /// - Parameters:
    ///   - semantic: What Stage C or the semantic compressor made.
    ///   - text: One prompt for all images, or one for each; nil only for a stage that does not
    ///     read text.
    ///   - seed: The seed of the first image; the following ones count up from it.
    ///   - options: Steps, guidance and method; ``DiffusionStage/defaultSampling`` if nil.
    /// - Returns: One image latent for each semantic latent.
    /// - Throws: `CancellationError` when the task is cancelled, or ``WuerstchenError``.
    public func sample(
        _ semantic: SemanticLatent, text: TextEmbedding<StageB>?, seed: UInt64,
        options: SamplingOptions? = nil
    ) throws -> ImageLatent {
        let count = UInt64(semantic.values.shape[0])
        var sampler = try sampler(
            semantic, text: text, noise: SeededNoise(seeds: (0..<count).map { seed &+ $0 }),
            options: options)
        while try sampler.next() != nil {}
        return ImageLatent(values: sampler.latent)
    }

    /// A sampler that turns semantic latents into image latents step by step.
    ///
    /// - Parameters:
    ///   - semantic: What Stage C or the semantic compressor made.
    ///   - text: Prompts whose number divides that of the images: each belongs to an equal run of
    ///     neighbours. Nil only for a stage that does not read text.
    ///   - initial: The noisy latents to start from; noise by default.
    ///   - edit: Clean latents to start from.
    ///   - noise: The source of random numbers, drawn on for the start (unless `initial` is given)
    ///     and at each step.
    ///   - options: Steps, guidance and method; ``DiffusionStage/defaultSampling`` if nil.
    /// - Returns: The sampler, before its first step.
    /// - Throws: ``WuerstchenError`` when the latent's size or channels do not fit the network,
    ///   when the text does not, or when guidance finds no negative prompts.
    public func sampler(
        _ semantic: SemanticLatent, text: TextEmbedding<StageB>?, initial: Tensor? = nil,
        editing edit: LatentEdit? = nil, noise: any NoiseSource, options: SamplingOptions? = nil
    ) throws -> any Sampler {
        let options = options ?? defaultSampling
        try description.validate(options)
        let conditioning = try conditioning(semantic, text, isGuided: options.isGuided)
        let shape: Shape = [
            semantic.values.shape[0], conditioning.height, conditioning.width,
            configuration.latentChannels,
        ]
        return try self.sampler(
            conditioning,
            unguided: options.isPartlyGuided
                ? self.conditioning(semantic, text, isGuided: false) : nil,
            shape: shape, initial: initial, editing: edit, noise: noise, options: options)
    }

    /// The stage as a velocity field under some semantic latents and prompts. Unlike a sampler it
    /// does not mind how many steps a student was distilled to.
    ///
    /// - Parameters:
    ///   - semantic: What Stage C or the semantic compressor made.
    ///   - text: Prompts whose number divides that of the images; with negatives if there is
    ///     guidance. Nil only for a stage that does not read text.
    ///   - guidance: The weight of guidance; up to 1 there is none.
    /// - Returns: The field.
    /// - Throws: ``WuerstchenError`` as ``sampler(_:text:initial:editing:noise:options:)`` does.
    public func flow(
        _ semantic: SemanticLatent, text: TextEmbedding<StageB>?, guidance: Float = 1
    ) throws -> FlowField {
        let weight = try Guidance(weight: guidance).weight
        return try flow(
            conditioning(semantic, text, isGuided: weight != nil), guidance: guidance)
    }

    /// What the network is given of some semantic latents and prompts.
    ///
    /// - Parameters:
    ///   - semantic: What Stage C or the semantic compressor made.
    ///   - text: Prompts whose number divides that of the images; with negatives if there is
    ///     guidance. Nil only for a stage that does not read text.
    ///   - isGuided: Whether there is guidance: zeros and the negatives then follow.
    /// - Returns: The conditioning, good for any number of steps.
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` when latents or text do not fit
    ///   the network or guidance finds no negative prompts.
    public func conditioning(
        _ semantic: SemanticLatent, _ text: TextEmbedding<StageB>?, isGuided: Bool
    ) throws -> Conditioning {
        let text = readsText ? text : nil
        try text?.validate(channels: configuration.textChannels, needsNegatives: isGuided)
        let embedding = semantic.embedding
        let batch = embedding.shape[0]
        guard embedding.shape.channels == configuration.semanticChannels else {
            throw WuerstchenError(
                .invalidRequest,
                "Stage B takes semantic latents of \(configuration.semanticChannels) channels, not "
                    + "\(embedding.shape.channels)")
        }
        let prompts = text?.prompts.shape[0] ?? 1
        guard batch > 0, batch % prompts == 0 else {
            throw WuerstchenError(
                .invalidRequest, "\(prompts) prompts for \(batch) images")
        }
        // The unconditional half sees no image: zeros, not the embedding of anything.
        return try prepare(
            semantic: isGuided
                ? Tensor.concatenating([embedding, Tensor(repeating: 0, embedding.shape)])
                : embedding,
            text: isGuided ? text?.promptsThenNegatives : text?.prompts)
    }
}
