internal import TensorCore

/// What a cascade is asked for.
public struct GenerationRequest: Sendable, Hashable {
    /// What the image should show.
    public var prompt: String
    /// What guidance leads away from.
    public var negativePrompt: String
    /// The size in pixels, each side 128…4096, which is met exactly; nil for what the checkpoint
    /// was trained at.
    public var size: ImageSize?
    /// The seed of the first image.
    public var seed: UInt64
    /// The number of images, 1…1024. Image k is what a request for one image with the seed
    /// `seed + k` gives.
    public var count: Int
    /// Steps, guidance and method of Stage C; nil for what the stage was made for: as published 60
    /// steps under guidance 4, or the steps that it was distilled to.
    public var stageC: SamplingOptions?
    /// Steps, guidance and method of Stage B; nil for what the stage was made for: as published 12
    /// steps without guidance, or the steps that it was distilled to.
    public var stageB: SamplingOptions?

    /// An image that the request starts from; nil for none.
    public var edit: ImageEdit?
    /// The seed of Stage B for the first image; nil to go on with the random numbers of Stage C, as
    /// published. With the same seed and another for Stage B, the content stays and details change.
    public var stageBSeed: UInt64?
    /// How both prompts are read: as they are written, or with weights in parentheses.
    public var promptSyntax: PromptSyntax
    /// What text encoders made of a prompt and a negative prompt, in place of encoding those of the
    /// request; nil for none.
    public var embeddings: PromptEmbeddings?

    /// A request with the settings that the stages were made for.
    public init(
        _ prompt: String, negativePrompt: String = "",
        size: ImageSize? = nil, seed: UInt64 = 0, count: Int = 1,
        stageC: SamplingOptions? = nil, stageB: SamplingOptions? = nil, edit: ImageEdit? = nil,
        stageBSeed: UInt64? = nil, promptSyntax: PromptSyntax = .plain,
        embeddings: PromptEmbeddings? = nil
    ) {
        self.prompt = prompt
        self.negativePrompt = negativePrompt
        self.size = size
        self.seed = seed
        self.count = count
        self.stageC = stageC
        self.stageB = stageB
        self.edit = edit
        self.stageBSeed = stageBSeed
        self.promptSyntax = promptSyntax
        self.embeddings = embeddings
    }

    /// Checks everything that can be wrong with a request before any work is done.
    ///
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` that names the value.
    public func validate() throws {
        try size?.validateForGeneration()
        guard (1...1024).contains(count) else {
            throw WuerstchenError(
                .invalidRequest, "a request cannot be for \(count) images; choose 1 to 1024")
        }
        try stageC?.validate()
        try stageB?.validate()
        try edit?.validate()
        for text in [prompt, negativePrompt] {
            _ = try WeightedPrompt(text, syntax: promptSyntax)
        }
    }

    /// What ``Cascade/metadata(of:image:)`` says of the request itself.
    ///
    /// - Parameters:
    ///   - image: Which image of the request, from 0.
    ///   - checkpoint: The checkpoint's name.
    /// - Returns: Keywords and their text, as ``Image/write(to:text:)`` takes them.
    func metadata(image: Int = 0, checkpoint: String) -> [(key: String, value: String)] {
        [
            ("prompt", prompt.storable), ("negative prompt", negativePrompt.storable),
            ("seed", "\(seed &+ UInt64(truncatingIfNeeded: image))"),
            ("size", size.map { "\($0.width)x\($0.height)" } ?? "as trained"),
        ] + record("stage C", stageC) + record("stage B", stageB)
            + (stageBSeed.map {
                [("stage B seed", "\($0 &+ UInt64(truncatingIfNeeded: image))")]
            } ?? [])
            + (promptSyntax == .plain ? [] : [("prompt syntax", promptSyntax.rawValue)])
            + (embeddings.map { [("embeddings", $0.digest)] } ?? [])
            + (edit?.record ?? []) + [
                ("checkpoint", checkpoint),
                Image.software,
            ]
    }
}

private func record(
    _ stage: String, _ options: SamplingOptions?
) -> [(key: String, value: String)] {
    guard let options else { return [("\(stage) sampling", "as the stage was made for")] }
    return [
        ("\(stage) steps", "\(options.timesteps.count)"),
        ("\(stage) guidance", options.guidanceRecord), ("\(stage) sampling", options.record),
    ]
}

extension SamplingOptions {
    /// The method, and the times unless they are equal steps from 1 to 0.
    fileprivate var record: String {
        let name = method.rawValue + (endsClean ? " to the clean prediction" : "")
        let times = timesteps.times
        guard (try? Timesteps(count: timesteps.count)) != timesteps else { return name }
        return "\(name) \(times.map { "\($0)" }.joined(separator: " "))"
    }
}

extension SamplingOptions {
    /// The weight of guidance, and what is unusual about it.
    fileprivate var guidanceRecord: String {
        "\(guidance)"
            + (guidanceInterval == 0...1
                ? "" : " from \(guidanceInterval.lowerBound) to \(guidanceInterval.upperBound)")
            + (guidanceRescale == 0 ? "" : " rescaled by \(guidanceRescale)")
    }
}

extension ImageEdit {
    /// What tells the edit from others: hashes of the samples of image and mask, and numbers.
    fileprivate var record: [(key: String, value: String)] {
        func hash(_ image: Image) -> String {
            var hash = FNV1a()
            hash.add(image.pixels)
            return String(hash.value, radix: 16)
        }
        return [
            ("image", "\(hash(image)) of \(image.width)x\(image.height)"),
            ("stage C strength", "\(stageCStrength)"), ("stage B strength", "\(stageBStrength)"),
        ] + (mask.map { [("mask", "\(hash($0.image)) with a seam of \(seam)")] } ?? [])
    }
}

extension String {
    /// What a PNG can hold of the text: no null characters, and not more than a mebibyte.
    fileprivate var storable: String {
        let text = replacing("\0", with: "")
        let limit = PNGText.maximumLength
        guard text.utf8.count > limit else { return text }
        // A scalar has up to four bytes, and ends at one of the last.
        return (limit - 3...limit).reversed().lazy
            .compactMap { String(text.utf8.prefix($0)) }.first ?? ""
    }
}
