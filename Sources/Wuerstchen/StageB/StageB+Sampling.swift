public import TensorCore

extension StageB: SampledStage {
    /// How the stage is meant to be sampled: as published, or, for a flow, as it was made.
    public var defaultSampling: SamplingOptions { configuration.known(schedule).defaultSampling }

    /// Whether any level has attention, through which text enters; published stages have.
    public var readsText: Bool { configuration.known(schedule).readsText }

    /// The change of variables between diffusion and the stage's flow.
    public var flowMap: FlowMap { sampling.map }

    private var sampling: StageSampling {
        StageSampling(name: "Stage B", schedule: schedule, flow: configuration.flow)
    }

    /// Turns semantic latents into image latents.
    ///
    /// - Parameters:
    ///   - semantic: What Stage C or the semantic compressor made.
    ///   - text: One prompt for all images, or one for each; nil only for a stage that does not
    ///     read text.
    ///   - seed: The seed of the first image; the following ones count up from it.
    ///   - options: Steps, guidance and method; ``defaultSampling`` if nil.
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
    ///   - initial: The latents to start from; noise by default.
    ///   - noise: The source of random numbers, drawn on for the start (unless `initial` is given)
    ///     and at each step.
    ///   - options: Steps, guidance and method; ``defaultSampling`` if nil.
    /// - Returns: The sampler, before its first step.
    /// - Throws: ``WuerstchenError`` when the latent's size or channels do not fit the network,
    ///   when the text does not, or when guidance finds no negative prompts.
    public func sampler(
        _ semantic: SemanticLatent, text: TextEmbedding<StageB>?, initial: Tensor? = nil,
        noise: any NoiseSource, options: SamplingOptions? = nil
    ) throws -> any LatentSampler {
        let options = options ?? defaultSampling
        try sampling.validate(options)
        let (conditioning, network) = try network(semantic, text, isGuided: options.isGuided)
        let shape: Shape = [
            semantic.values.shape[0], conditioning.height, conditioning.width,
            configuration.latentChannels,
        ]
        var noise = noise
        let start = try startingLatent(shape, initial, &noise, "Stage B")
        return try sampling.sampler(options, initial: start, noise: noise, network)
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
    /// - Throws: ``WuerstchenError`` as ``sampler(_:text:initial:noise:options:)`` does.
    public func flow(
        _ semantic: SemanticLatent, text: TextEmbedding<StageB>?, guidance: Float = 1
    ) throws -> FlowField {
        let weight = try SamplingOptions.weight(guidance)
        return sampling.field(
            guidance: weight, try network(semantic, text, isGuided: weight != nil).network)
    }

    private func network(
        _ semantic: SemanticLatent, _ text: TextEmbedding<StageB>?, isGuided: Bool
    ) throws -> (conditioning: Conditioning, network: GuidedDenoiser.Network) {
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
        let conditioning = try prepare(
            semantic: isGuided
                ? Tensor.concatenating([embedding, Tensor(repeating: 0, embedding.shape)])
                : embedding,
            text: isGuided ? text?.promptsThenNegatives : text?.prompts)
        return (
            conditioning, { try predict($0, times: $1, conditioning: conditioning) }
        )
    }
}
