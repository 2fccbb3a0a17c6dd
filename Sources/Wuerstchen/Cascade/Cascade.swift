internal import TensorCore

/// The whole cascade: a sentence in, images out.
///
///     let cascade = try Cascade(contentsOf: checkpointDirectory)
///     let image = try cascade.image(for: "a red house under a starry night sky", seed: 7)
///
/// A cascade is a value made of parts that can be exchanged: two cascades may share a Stage C, and
/// any ``LatentDecoder`` may stand in for Stages B and A.
public struct Cascade: Sendable {
    /// The text encoder in front of Stage C.
    public var textEncoder: Part<TextEncoder<StageC>>
    /// Stage C, from text to semantic latents.
    public var stageC: Part<StageC>
    /// What turns semantic latents into images.
    public var decoder: any LatentDecoder
    /// What turns images into semantic latents, which starting from an image needs; nil where the
    /// checkpoint has none.
    public var compressor: Part<SemanticCompressor>?
    /// A tiny decoder for previews: the checkpoint's own if it has one.
    public var previewDecoder: PreviewDecoder
    /// How semantic latents relate to images.
    public var latentSpace: SemanticLatentSpace
    /// The size of images that the networks were trained at, for requests that name none.
    public var defaultSize: ImageSize
    /// The checkpoint's name, for the record in images.
    public var name: String
    /// What a person should know about how the checkpoint was read, a sentence each.
    public internal(set) var notes: [String] = []

    /// A cascade of the given parts.
    public init(
        name: String, textEncoder: Part<TextEncoder<StageC>>, stageC: Part<StageC>,
        decoder: any LatentDecoder, compressor: Part<SemanticCompressor>? = nil,
        previewDecoder: PreviewDecoder = PreviewDecoder(),
        latentSpace: SemanticLatentSpace = SemanticLatentSpace(),
        defaultSize: ImageSize = ImageSize(width: 1024, height: 1024)
    ) {
        self.name = name
        self.defaultSize = defaultSize
        self.textEncoder = textEncoder
        self.stageC = stageC
        self.decoder = decoder
        self.compressor = compressor
        self.previewDecoder = previewDecoder
        self.latentSpace = latentSpace
    }

    /// Makes one image.
    ///
    /// Runs on the calling thread and those of ``Threads``; from asynchronous code use
    /// ``images(for:)`` or ``generation(of:)``, which leave Swift's own threads alone.
    ///
    /// - Parameters:
    ///   - prompt: What the image should show.
    ///   - negativePrompt: What guidance leads away from.
    ///   - size: The size in pixels, each side 128…4096; ``defaultSize`` if nil.
    ///   - seed: The seed; the same gives the same image.
    /// - Returns: The image, in exactly that size.
    /// - Throws: `CancellationError` when the task is cancelled, or ``WuerstchenError``.
    public func image(
        for prompt: String, negativePrompt: String = "",
        size: ImageSize? = nil, seed: UInt64 = 0
    ) throws -> Image {
        let images = try makeImages(
            for: GenerationRequest(
                prompt, negativePrompt: negativePrompt, size: size, seed: seed))
        return images[0]
    }

    /// Makes the images of a request on the calling thread and those of ``Threads``.
    ///
    /// - Throws: `CancellationError` when the task is cancelled, or ``WuerstchenError``.
    public func makeImages(for request: GenerationRequest) throws -> [Image] {
        var run = try GenerationRun(self, request)
        var images: [Image] = []
        while let event = try run.next() {
            if case .images(let made, _) = event { images += made }
        }
        return images
    }

    /// Makes the images of a request without keeping Swift's own threads busy.
    ///
    /// - Throws: `CancellationError` when the task is cancelled, or ``WuerstchenError``.
    public func images(for request: GenerationRequest) async throws -> [Image] {
        var images: [Image] = []
        for try await event in generation(of: request) {
            if case .images(let made, _) = event { images += made }
        }
        return images
    }

    /// A request with everything filled in that it leaves open, for the record.
    ///
    /// - Throws: What loading the stages throws, where they have to be for it.
    public func completed(_ request: GenerationRequest) throws -> GenerationRequest {
        var result = request
        result.size = size(of: request)
        result.stageC = try request.stageC ?? stageC.description().defaultSampling
        result.stageB = try request.stageB ?? decoder.defaultSampling()
        return result
    }

    /// The size of a request's images: its own, that of the image that it starts from, or what the
    /// networks were trained at.
    func size(of request: GenerationRequest) -> ImageSize {
        request.size ?? request.edit?.size ?? defaultSize
    }

    /// The semantic latent of an image, as Stage C would make it for a size.
    ///
    /// - Parameters:
    ///   - image: The image, which is fitted to the size.
    ///   - size: The size in pixels; the image's own if nil, with sides in range.
    /// - Returns: The latent, in the grid of the size and in the cascade's space.
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` where there is no compressor or no
    ///   such size.
    public func semanticLatent(of image: Image, size: ImageSize? = nil) throws -> SemanticLatent {
        let edit = ImageEdit.reconstruction(of: image)
        let grid = try grid(for: size ?? edit.size)
        return try semanticLatent(
            of: edit.fitted(to: size ?? edit.size).padded(to: fullSize(grid)), grid)
    }

    /// The same of an image that has the decoder's size.
    func semanticLatent(of edit: ImageEdit, _ grid: SemanticGrid) throws -> SemanticLatent {
        guard let compressor = try compressor?() else { throw missingCompressor }
        let latent = try compressor.encode(edit.image.tensor, grid: grid)
        guard latent.values.isFinite else {
            throw WuerstchenError(
                .notFinite,
                "the semantic compressor gave values that are not numbers; its weights are damaged")
        }
        // Whatever the compressor takes its space for.
        return SemanticLatent(embedding: latent.embedding, space: latentSpace)
    }

    var missingCompressor: WuerstchenError {
        WuerstchenError(
            .invalidRequest,
            "\(name) has no semantic compressor, which turns an image into the latents that Stage C "
                + "starts from; put its file into the checkpoint's folder as "
                + CheckpointLayout.published.compressors.joined(separator: " or "))
    }

    /// The size of the image that the decoder makes of a grid.
    func fullSize(_ grid: SemanticGrid) -> ImageSize {
        func side(_ positions: Int) -> Int {
            decoder.imageSide(forSemanticSide: positions, in: latentSpace) ?? 0
        }
        return ImageSize(width: side(grid.columns), height: side(grid.rows))
    }

    /// What to expect of images of a size that is far from what the networks were trained at: they
    /// draw most of it well up to one and a half times that, and repeat things or lose them beyond.
    ///
    /// - Parameter size: The size in pixels.
    /// - Returns: A sentence for whoever asked for the size; nil where nothing is to be said.
    public func advice(on size: ImageSize) -> String? {
        let far = (width: defaultSize.width * 3 / 2, height: defaultSize.height * 3 / 2)
        guard size.width > far.width || size.height > far.height else { return nil }
        return
            "\(name) was trained at \(defaultSize) pixels. In images of \(size), things are likely to "
            + "repeat or go missing; up to \(ImageSize(width: far.width, height: far.height)) "
            + "that is less likely"
    }

    /// What to expect of a request that may be other than what whoever made it expects.
    ///
    /// - Parameter request: The request.
    /// - Returns: Sentences about it; none where nothing is to be said.
    /// - Throws: ``WuerstchenError`` when a stage's configuration cannot be read.
    public func advice(for request: GenerationRequest) throws -> [String] {
        let whole = try completed(request)
        var advice: [String] = []
        let isDrawn = request.edit.map { max($0.stageCStrength, $0.stageBStrength) > 0 } ?? true
        if isDrawn, let note = self.advice(on: size(of: request)) { advice.append(note) }
        let isGuided = whole.stageC?.isGuided == true || whole.stageB?.isGuided == true
        let hasPrompt = !request.prompt.isEmpty || !request.negativePrompt.isEmpty
        if hasPrompt, let edit = request.edit, GenerationRun.skipsStageC(edit, decoder),
            try !decoder.readsPrompts(of: whole)
        {
            advice.append(
                "the prompt changes nothing: Stage C, which reads it, has nothing to do here; a "
                    + "strength above 0 lets it redraw what the image shows")
        } else if !request.negativePrompt.isEmpty, !isGuided {
            advice.append(
                "the negative prompt changes nothing: it is what guidance leads away from, and "
                    + "there is none, as in stages that were distilled with it in them")
        }
        return advice
    }

    /// The rows and columns of the semantic latent for images of a size: enough to cover it, and
    /// such that the decoder can run on them.
    ///
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` when the size is out of range or no
    ///   such grid is near.
    public func grid(for size: ImageSize) throws -> SemanticGrid {
        try size.validateForGeneration()
        try latentSpace.validate()
        func side(_ pixels: Int) throws -> Int {
            let smallest = latentSpace.gridSide(covering: pixels)
            for side in smallest..<smallest + 256 {
                if let found = decoder.imageSide(forSemanticSide: side, in: latentSpace),
                    found >= pixels, found <= ImageSize.maximumSide
                {
                    return side
                }
            }
            throw WuerstchenError(
                .invalidRequest,
                "the decoder cannot make an image with a side of \(pixels) pixels from any "
                    + "semantic latent of \(smallest) or somewhat more positions; its "
                    + "configuration is at odds with the prior's resolution_multiple")
        }
        return SemanticGrid(rows: try side(size.height), columns: try side(size.width))
    }
}
