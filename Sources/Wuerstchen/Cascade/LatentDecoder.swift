internal import TensorCore

/// Turns semantic latents into images. Stages B and A together are one (``DiffusionDecoder``), and
/// the preview decoder is another; a cascade runs with any.
public protocol LatentDecoder: Sendable {
    /// The side in pixels of the image that a side of a semantic latent becomes, or nil where the
    /// decoder cannot run on it. A cascade takes the smallest side that covers what is asked for.
    ///
    /// - Parameters:
    ///   - side: Rows or columns of the latent.
    ///   - space: How latents relate to images.
    /// - Returns: The side in pixels, or nil.
    func imageSide(forSemanticSide side: Int, in space: SemanticLatentSpace) -> Int?

    /// Begins to decode.
    ///
    /// - Parameters:
    ///   - latent: The latents of all images.
    ///   - request: Prompt, steps and guidance; and the image to start from, if there is one, in
    ///     the size that the decoder makes of the latents.
    ///   - noise: The source of random numbers, as Stage C left it.
    /// - Returns: The decoding, before its first step.
    /// - Throws: `CancellationError` when the task is cancelled, or ``WuerstchenError`` when the
    ///   decoder cannot be loaded or does not take such latents.
    func decoding(
        of latent: SemanticLatent, for request: GenerationRequest, noise: any NoiseSource
    ) throws -> any LatentDecoding

    /// How it samples where a request leaves it open; nil for a decoder that takes no steps.
    ///
    /// - Throws: What loading the decoder throws.
    func defaultSampling() throws -> SamplingOptions?

    /// Whether it starts from the image of a request by itself, in latents of its own.
    var readsImages: Bool { get }

    /// Whether it reads the prompts of a request.
    ///
    /// - Throws: What loading the decoder throws.
    func readsPrompts(of request: GenerationRequest) throws -> Bool

    /// The number of steps that decoding will take.
    ///
    /// - Throws: What loading the decoder throws.
    func stepCount(for request: GenerationRequest) throws -> Int
}

/// A decoding under way.
public protocol LatentDecoding: Sendable {
    /// What its steps are reported as.
    var stage: GenerationStep.Stage { get }

    /// What it could not follow of the request's prompts; nil where it reads none.
    var promptFindings: PromptFindings? { get }

    /// Takes the next step; nil when there are none left.
    mutating func next() throws -> SamplingStep?

    /// The images, after the last step.
    mutating func finish() throws -> [Image]
}

extension LatentDecoding {
    /// By default steps are reported as those of a stage called `Decoder`.
    public var stage: GenerationStep.Stage { GenerationStep.Stage("Decoder") }

    /// By default no prompt is read.
    public var promptFindings: PromptFindings? { nil }
}

extension LatentDecoder {
    /// By default a decoder takes no steps.
    public func defaultSampling() throws -> SamplingOptions? { nil }

    /// By default a decoder sees no images.
    public var readsImages: Bool { false }

    /// By default a decoder is taken to read prompts.
    public func readsPrompts(of request: GenerationRequest) throws -> Bool { true }

    /// Decodes from beginning to end.
    ///
    /// - Parameters:
    ///   - latent: The latents of all images.
    ///   - request: Prompt, seed, steps and guidance; its size has no part in it.
    /// - Returns: One image for each latent, as large as the decoder makes it.
    /// - Throws: `CancellationError` when the task is cancelled, or ``WuerstchenError``.
    public func decode(
        _ latent: SemanticLatent, for request: GenerationRequest
    ) throws -> [Image] {
        let count = UInt64(latent.values.shape[0])
        let noise = SeededNoise(seeds: (0..<count).map { request.seed &+ $0 })
        var decoding = try decoding(of: latent, for: request, noise: noise)
        while try decoding.next() != nil {}
        return try decoding.finish()
    }
}

/// Stages B and A: the full decoder.
public struct DiffusionDecoder: LatentDecoder {
    /// The text encoder in front of Stage B.
    public var textEncoder: Part<TextEncoder<StageB>>
    /// Stage B.
    public var stageB: Part<StageB>
    /// Stage A.
    public var stageA: Part<StageA>
    private let semanticSides: @Sendable (Int) -> Int?

    /// A decoder of the given parts.
    ///
    /// - Parameters:
    ///   - textEncoder: The text encoder in front of Stage B.
    ///   - stageB: Stage B.
    ///   - stageA: Stage A.
    ///   - configuration: Stage B's architecture.
    ///   - latentSpace: How semantic latents relate to Stage B's.
    ///   - pixelsPerPosition: Pixels per position of the image latent,
    ///     ``StageA/pixelsPerPosition``.
    public init(
        textEncoder: Part<TextEncoder<StageB>>, stageB: Part<StageB>, stageA: Part<StageA>,
        configuration: StageB.Configuration, latentSpace: SemanticLatentSpace,
        pixelsPerPosition: Int
    ) {
        self.textEncoder = textEncoder
        self.stageB = stageB
        self.stageA = stageA
        semanticSides = { side in
            StageB.latentSide(
                forSemanticSide: side, in: latentSpace, configuration: configuration
            ).map { $0 * pixelsPerPosition }
        }
    }

    /// The image's side: Stage B's latent times the pixels of each position.
    public func imageSide(forSemanticSide side: Int, in space: SemanticLatentSpace) -> Int? {
        semanticSides(side)
    }

    /// How Stage B was made to be sampled.
    public func defaultSampling() throws -> SamplingOptions? {
        try stageB.description().defaultSampling
    }

    /// Stage A turns images into latents that Stage B can start from.
    public var readsImages: Bool { true }

    /// Stage B may have learnt with text, or with semantic latents alone.
    public func readsPrompts(of request: GenerationRequest) throws -> Bool {
        try request.edit?.stageBStrength != 0 && stageB.description().readsText
    }

    /// Stage B's steps.
    public func stepCount(for request: GenerationRequest) throws -> Int {
        guard request.edit?.stageBStrength != 0 else { return 0 }
        let options = try request.stageB ?? stageB.description().defaultSampling
        try stageB.validate(options)
        return try stageB.stepCount(options, from: request.edit?.stageBStrength)
    }

    /// Encodes the prompt for Stage B, if that reads text, and starts its sampler.
    public func decoding(
        of latent: SemanticLatent, for request: GenerationRequest, noise: any NoiseSource
    ) throws -> any LatentDecoding {
        let description = try stageB.description()
        let options = request.stageB ?? description.defaultSampling
        var edit: LatentEdit?
        if let image = request.edit, image.keepsDetails {
            let encoded = try encoded(image.image, count: latent.values.shape[0])
            TensorMemory.trim()
            guard image.stageBStrength > 0 else {
                return DiffusionDecoding(sampler: nil, stageA: stageA, latent: encoded)
            }
            let shape = encoded.values.shape
            edit = LatentEdit(
                encoded.values, strength: image.stageBStrength,
                mask: image.mask?.tensor(rows: shape[1], columns: shape[2]))
        }
        var text: TextEmbedding<StageB>?
        var findings: PromptFindings?
        if description.readsText {
            if let embeddings = request.embeddings {
                text = embeddings.stageB
                findings = embeddings.stageB.map { PromptFindings($0) }
            } else {
                (text, findings) = try textEncoder().encode(request, isGuided: options.isGuided)
            }
        }
        let sampler = try stageB().sampler(
            latent, text: text, editing: edit, noise: noise, options: options)
        return DiffusionDecoding(sampler: sampler, stageA: stageA, promptFindings: findings)
    }

    private func encoded(_ image: Image, count: Int) throws -> ImageLatent {
        let values = try stageA().latent(of: image.tensor).values
        guard values.isFinite else {
            throw WuerstchenError(
                .notFinite,
                "Stage A made latents of the image that are not numbers; its weights are damaged")
        }
        return ImageLatent(
            values: Tensor.concatenating([Tensor](repeating: values, count: count)))
    }
}

private struct DiffusionDecoding: LatentDecoding {
    /// Holds Stage B, which can go before Stage A comes.
    var sampler: (any Sampler)?
    let stageA: Part<StageA>
    var latent: ImageLatent?
    var promptFindings: PromptFindings?
    let stage = GenerationStep.Stage.stageB

    mutating func next() throws -> SamplingStep? {
        guard let step = try sampler?.next() else {
            latent = sampler.map { ImageLatent(values: $0.latent) } ?? latent
            sampler = nil
            return nil
        }
        return step
    }

    mutating func finish() throws -> [Image] {
        while try next() != nil {}
        guard let latent else { return [] }
        TensorMemory.trim()
        return try stageA().decode(latent)
    }
}

extension PreviewDecoder: LatentDecoder {
    /// What the latent stands for: a preview is enlarged to it.
    public func imageSide(forSemanticSide side: Int, in space: SemanticLatentSpace) -> Int? {
        Int((Double(side) * space.pixelsPerPosition).rounded(.up))
    }

    /// Latents are all that it reads.
    public func readsPrompts(of request: GenerationRequest) -> Bool { false }

    /// A preview takes no steps.
    public func stepCount(for request: GenerationRequest) -> Int { 0 }

    /// Begins to decode, which neither prompt nor noise have a part in.
    public func decoding(
        of latent: SemanticLatent, for request: GenerationRequest, noise: any NoiseSource
    ) throws -> any LatentDecoding {
        PreviewDecoding(decoder: self, latent: latent)
    }
}

private struct PreviewDecoding: LatentDecoding {
    let decoder: PreviewDecoder
    let latent: SemanticLatent

    mutating func next() throws -> SamplingStep? { nil }

    mutating func finish() throws -> [Image] { try decoder.decode(latent) }
}
