public import Foundation
internal import TensorCore

/// The text encoders' output for a prompt and a negative prompt, to be used without them.
///
/// A file of them holds `stage_c.prompt` and `stage_c.negative`, each `[1, tokens, channels]` in
/// 32-bit floats, and for a Stage B that reads text `stage_b.prompt` and `stage_b.negative`. The
/// texts themselves are in its metadata.
public struct PromptEmbeddings: Sendable {
    /// For Stage C.
    public let stageC: TextEmbedding<StageC>
    /// For Stage B; nil for one that reads no text.
    public let stageB: TextEmbedding<StageB>?
    /// The prompt that was encoded, for the record.
    public let prompt: String
    /// The negative prompt that was encoded.
    public let negativePrompt: String
    /// Sixteen hexadecimal digits that tell the values from others.
    public let digest: String

    /// The given embeddings.
    ///
    /// - Parameters:
    ///   - stageC: For Stage C, of one prompt.
    ///   - stageB: For Stage B; nil for one that reads no text.
    ///   - prompt: The prompt, for the record.
    ///   - negativePrompt: The negative prompt.
    public init(
        stageC: TextEmbedding<StageC>, stageB: TextEmbedding<StageB>? = nil, prompt: String,
        negativePrompt: String = ""
    ) {
        self.stageC = stageC
        self.stageB = stageB
        self.prompt = prompt
        self.negativePrompt = negativePrompt
        let tensors = [stageC.prompts, stageC.negatives, stageB?.prompts, stageB?.negatives]
        digest = hexadecimalDigest { hash in
            for tensor in tensors.compactMap(\.self) {
                hash.add(Array("\(tensor.shape)".utf8))
                tensor.withUnsafeElements { hash.addWords(UnsafeRawBufferPointer($0)) }
            }
        }
    }

    private enum Name {
        static let stageC = "stage_c"
        static let stageB = "stage_b"
        static let prompt = "prompt"
        static let negative = "negative_prompt"
    }

    /// The embeddings in a file.
    ///
    /// - Parameter file: A `.safetensors` file.
    /// - Throws: ``WuerstchenError`` with code `incompatibleParameters` for a file of something
    ///   else or of misshapen embeddings, `notFinite` for damaged ones, and what reading it throws.
    public init(contentsOf file: URL) throws {
        let safetensors = try Safetensors(contentsOf: file)
        let known = [Name.stageC, Name.stageB].flatMap { ["\($0).prompt", "\($0).negative"] }
        if let other = safetensors.entries.keys.sorted().first(where: { !known.contains($0) }) {
            throw WuerstchenError(
                .incompatibleParameters,
                "\(file.path) has the tensor \(other); embeddings of a prompt are "
                    + known.joined(separator: ", "))
        }
        func tensor(_ name: String) throws -> Tensor? {
            guard let entry = safetensors.entries[name] else { return nil }
            guard entry.shape.count == 3, entry.shape[0] == 1, !entry.shape.contains(0) else {
                throw WuerstchenError(
                    .incompatibleParameters,
                    "\(file.path): \(name) is \(entry.shape); expected [1, tokens, channels]")
            }
            let values = try safetensors.floats(of: entry, as: Shape(entry.shape))
            guard values.isFinite else {
                throw WuerstchenError(
                    .notFinite, "\(file.path): \(name) has values that are not numbers")
            }
            return values
        }
        func embedding<Stage>(_ stage: String) throws -> TextEmbedding<Stage>? {
            let negatives = try tensor("\(stage).negative")
            guard let prompts = try tensor("\(stage).prompt") else { return nil }
            guard negatives == nil || negatives?.shape == prompts.shape else {
                throw WuerstchenError(
                    .incompatibleParameters,
                    "\(file.path): \(stage).negative is \(negatives?.shape.array ?? []) and "
                        + "\(stage).prompt \(prompts.shape); they must be of the same shape")
            }
            return TextEmbedding(prompts: prompts, negatives: negatives)
        }
        guard let stageC: TextEmbedding<StageC> = try embedding(Name.stageC) else {
            throw WuerstchenError(
                .incompatibleParameters, "\(file.path) has no \(Name.stageC).prompt")
        }
        self.init(
            stageC: stageC, stageB: try embedding(Name.stageB),
            prompt: safetensors.metadata[Name.prompt] ?? "",
            negativePrompt: safetensors.metadata[Name.negative] ?? "")
    }

    /// Writes the file.
    ///
    /// - Throws: ``WuerstchenError`` with code `unwritableFile`.
    public func write(to file: URL) throws {
        let tensors: [(String, Tensor?)] = [
            ("\(Name.stageC).prompt", stageC.prompts),
            ("\(Name.stageC).negative", stageC.negatives),
            ("\(Name.stageB).prompt", stageB?.prompts),
            ("\(Name.stageB).negative", stageB?.negatives),
        ]
        try Safetensors.write(
            tensors.compactMap { name, tensor in
                tensor.map { tensor in
                    WeightElementType.float32.source(name, tensor.shape) { tensor }
                }
            }, metadata: [Name.prompt: prompt, Name.negative: negativePrompt], to: file)
    }
}

extension PromptEmbeddings: Hashable {
    /// Whether values and texts are the same.
    public static func == (a: PromptEmbeddings, b: PromptEmbeddings) -> Bool {
        (a.digest, a.prompt, a.negativePrompt) == (b.digest, b.prompt, b.negativePrompt)
    }

    /// Adds values and texts.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(digest)
        hasher.combine(prompt)
        hasher.combine(negativePrompt)
    }
}

extension Cascade {
    /// A prompt and a negative prompt as the text encoders of both stages read them, to be kept.
    ///
    /// - Parameters:
    ///   - prompt: What images should show.
    ///   - negativePrompt: What guidance leads away from.
    ///   - syntax: How the prompts are read.
    /// - Returns: The embeddings.
    /// - Throws: What loading the text encoders throws, and ``WuerstchenError`` with code
    ///   `invalidRequest` for weights that cannot be read.
    public func embeddings(
        of prompt: String, negativePrompt: String = "", syntax: PromptSyntax = .plain
    ) throws -> PromptEmbeddings {
        let stageC = try textEncoder().encode([prompt], negatives: [negativePrompt], syntax: syntax)
        var stageB: TextEmbedding<StageB>?
        if let decoder = decoder as? DiffusionDecoder, try decoder.stageB.description().readsText {
            TensorMemory.trim()
            stageB = try decoder.textEncoder().encode(
                [prompt], negatives: [negativePrompt], syntax: syntax)
        }
        return PromptEmbeddings(
            stageC: stageC, stageB: stageB, prompt: prompt, negativePrompt: negativePrompt)
    }

    /// Refuses embeddings that the stages cannot take.
    func validate(_ embeddings: PromptEmbeddings, _ request: GenerationRequest) throws {
        let c = try stageC.blueprint().configuration.textChannels
        let guidedC = try (request.stageC ?? stageC.description().defaultSampling).isGuided
        try embeddings.stageC.validate(channels: c, needsNegatives: guidedC)
        guard let decoder = decoder as? DiffusionDecoder, try decoder.stageB.description().readsText
        else { return }
        guard let stageB = embeddings.stageB else {
            throw WuerstchenError(
                .invalidRequest,
                "Stage B of \(name) reads text, and the embeddings have none for it")
        }
        let b = try decoder.stageB.blueprint().configuration.textChannels
        let guidedB = try (request.stageB ?? decoder.stageB.description().defaultSampling).isGuided
        try stageB.validate(channels: b, needsNegatives: guidedB)
    }
}
