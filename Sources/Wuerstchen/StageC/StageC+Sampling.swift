public import TensorCore

extension StageC: TrainableStage {
    /// Its name in files and options.
    public static let identifier = "stage-c"

    /// What a configuration and a noise schedule say about a Stage C.
    public static func description(
        of configuration: Configuration, schedule: NoiseSchedule
    ) -> StageDescription {
        StageDescription(
            name: "Stage C", schedule: schedule, flow: configuration.flow,
            noiseSampling: configuration.sampling?.options(schedule) ?? .stageC, readsText: true,
            latentChannels: configuration.latentChannels)
    }

    /// Turns text into a semantic latent.
    ///
    /// - Parameters:
    ///   - text: One or more prompts, each giving one image.
    ///   - imageSize: The size of the images in pixels.
    ///   - multiple: The sides of the grid are the smallest multiples of this that cover the image.
    ///     Stage B as published runs on multiples of three only: its latent is 32⁄3 as large, and
    ///     must be halved to its last level; see ``StageB/latentSide(forSemanticSide:)``.
    ///   - seed: The seed of the first image; the following ones count up from it.
    ///   - options: Steps, guidance and method; ``DiffusionStage/defaultSampling`` if nil.
    /// - Returns: One latent for each prompt.
    /// - Throws: `CancellationError` when the task is cancelled, or ``WuerstchenError``.
    public func sample(
        _ text: TextEmbedding<StageC>, imageSize: ImageSize, multipleOf multiple: Int = 3,
        seed: UInt64, options: SamplingOptions? = nil
    ) throws -> SemanticLatent {
        try imageSize.validateForGeneration()
        guard (1...256).contains(multiple) else {
            throw WuerstchenError(
                .invalidRequest,
                "the grid cannot have multiples of \(multiple) positions; choose 1 to 256")
        }
        func side(_ pixels: Int) -> Int {
            (latentSpace.gridSide(covering: pixels) + multiple - 1) / multiple * multiple
        }
        let count = UInt64(text.prompts.shape[0])
        var sampler = try sampler(
            text, grid: SemanticGrid(rows: side(imageSize.height), columns: side(imageSize.width)),
            noise: SeededNoise(seeds: (0..<count).map { seed &+ $0 }), options: options)
        while try sampler.next() != nil {}
        return latent(sampler)
    }

    /// A sampler that turns text into a semantic latent step by step.
    ///
    /// - Parameters:
    ///   - text: The prompts. A batch of n images is divided into equal runs of neighbours, one
    ///     for each prompt.
    ///   - grid: Rows and columns of the latent.
    ///   - imagesPerPrompt: The images that each prompt gives.
    ///   - initial: The noisy latents to start from; noise by default.
    ///   - edit: Clean latents to start from.
    ///   - noise: The source of random numbers, drawn on for the start (unless `initial` is given)
    ///     and at each step.
    ///   - options: Steps, guidance and method; ``DiffusionStage/defaultSampling`` if nil.
    /// - Returns: The sampler, before its first step.
    /// - Throws: ``WuerstchenError`` when the text does not fit the network or guidance finds no
    ///   negative prompts.
    public func sampler(
        _ text: TextEmbedding<StageC>, grid: SemanticGrid, imagesPerPrompt: Int = 1,
        initial: Tensor? = nil, editing edit: LatentEdit? = nil, noise: any NoiseSource,
        options: SamplingOptions? = nil
    ) throws -> any Sampler {
        let options = options ?? defaultSampling
        try description.validate(options)
        let conditioning = try conditioning(text, isGuided: options.isGuided)
        guard grid.rows > 0, grid.columns > 0, imagesPerPrompt > 0 else {
            throw WuerstchenError(
                .invalidRequest,
                "cannot sample \(imagesPerPrompt) images per prompt of \(grid.columns)×\(grid.rows) "
                    + "positions; there must be at least one of each")
        }
        let batch = text.prompts.shape[0] * imagesPerPrompt
        let shape: Shape = [batch, grid.rows, grid.columns, configuration.latentChannels]
        return try self.sampler(
            conditioning,
            unguided: options.isPartlyGuided ? self.conditioning(text, isGuided: false) : nil,
            shape: shape, initial: initial, editing: edit, noise: noise, options: options)
    }

    /// The stage as a velocity field under some prompts. Unlike a sampler it does not mind how many
    /// steps a student was distilled to.
    ///
    /// - Parameters:
    ///   - text: The prompts; with negatives if there is guidance.
    ///   - guidance: The weight of guidance; up to 1 there is none.
    /// - Returns: The field.
    /// - Throws: ``WuerstchenError`` when the text does not fit the network or guidance finds no
    ///   negative prompts.
    public func flow(_ text: TextEmbedding<StageC>, guidance: Float = 1) throws -> FlowField {
        let weight = try Guidance(weight: guidance).weight
        return try flow(conditioning(text, isGuided: weight != nil), guidance: guidance)
    }

    /// What the network is given of some prompts.
    ///
    /// - Parameters:
    ///   - text: The prompts; with negatives if there is guidance.
    ///   - isGuided: Whether there is guidance: the negatives then follow the prompts.
    /// - Returns: The conditioning, good for any number of steps.
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` when the text does not fit the
    ///   network or guidance finds no negative prompts.
    public func conditioning(
        _ text: TextEmbedding<StageC>, isGuided: Bool
    ) throws -> Conditioning {
        try text.validate(channels: configuration.textChannels, needsNegatives: isGuided)
        return try prepare(text: isGuided ? text.promptsThenNegatives : text.prompts)
    }

    /// The semantic latent that a sampler has arrived at.
    public func latent(_ sampler: any Sampler) -> SemanticLatent {
        SemanticLatent(values: sampler.latent, space: latentSpace)
    }
}

extension TextEmbedding {
    /// The prompts' rows, then the negatives'.
    var promptsThenNegatives: Tensor {
        Tensor.concatenating([prompts] + (negatives.map { [$0] } ?? []))
    }

    func validate(channels: Int, needsNegatives: Bool) throws {
        guard prompts.shape.rank == 3, prompts.shape[0] > 0, prompts.shape[2] == channels else {
            throw WuerstchenError(
                .invalidRequest,
                "the text embedding is \(prompts.shape); \(Stage.self) takes [prompts, tokens, "
                    + "\(channels)]")
        }
        guard needsNegatives else { return }
        guard let negatives else {
            throw WuerstchenError(
                .invalidRequest,
                "guidance needs a negative prompt, which may be empty; encode the text with "
                    + "negative: \"\"")
        }
        guard negatives.shape == prompts.shape else {
            throw WuerstchenError(
                .invalidRequest,
                "the negative prompts are \(negatives.shape) and the prompts \(prompts.shape)")
        }
    }
}

extension ImageSize {
    /// Sides that a cascade can be asked for.
    static let range = 128...4096

    func validateForGeneration() throws {
        guard ImageSize.range.contains(width), ImageSize.range.contains(height) else {
            let range = ImageSize.range
            func nearest(_ side: Int) -> Int {
                min(max(side, range.lowerBound), range.upperBound)
            }
            throw WuerstchenError(
                .invalidRequest,
                "an image cannot be \(self) pixels; each side must be from \(range.lowerBound) to "
                    + "\(range.upperBound), the nearest size being "
                    + "\(ImageSize(width: nearest(width), height: nearest(height)))")
        }
    }
}
