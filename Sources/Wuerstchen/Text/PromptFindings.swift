/// What a text encoder could not follow of a request's prompts.
public struct PromptFindings: Sendable, Hashable {
    /// Whether the prompt was too long and lost its end.
    public var isPromptTruncated = false
    /// Whether the negative prompt was.
    public var isNegativePromptTruncated = false
    /// The end of the prompt that was lost; empty where nothing was.
    public var unreadPrompt = ""
    /// The end of the negative prompt that was lost.
    public var unreadNegativePrompt = ""
    /// Words of both that the vocabulary does not have; see ``CLIPTokenizer/unknownWords(in:)``.
    public var unknownWords: [String] = []

    /// Nothing was found.
    public init() {}

    /// What an embedding says itself.
    init<Stage>(_ embedding: TextEmbedding<Stage>) {
        isPromptTruncated = embedding.isTruncated
        isNegativePromptTruncated = embedding.isNegativeTruncated
    }
}

extension TextEncoder {
    /// Encodes the prompts of a request, the negative one where guidance reads it.
    ///
    /// - Returns: The embedding, and what the encoder cannot follow of the prompts.
    /// - Throws: As ``encode(_:negative:syntax:)``.
    func encode(
        _ request: GenerationRequest, isGuided: Bool
    ) throws -> (text: TextEmbedding<Stage>, findings: PromptFindings) {
        let negative = isGuided ? request.negativePrompt : nil
        let syntax = request.promptSyntax
        let embedding = try encode(request.prompt, negative: negative, syntax: syntax)
        var findings = PromptFindings(embedding)
        let prompts = try [request.prompt, negative ?? ""].map {
            try WeightedPrompt($0, syntax: syntax).text
        }
        findings.unreadPrompt = tokenizer.unreadEnd(of: prompts[0])
        if embedding.isNegativeTruncated {
            findings.unreadNegativePrompt = tokenizer.unreadEnd(of: prompts[1])
        }
        findings.unknownWords = tokenizer.unknownWords(in: prompts[0])
        findings.unknownWords += tokenizer.unknownWords(in: prompts[1])
            .filter { !findings.unknownWords.contains($0) }
        return (embedding, findings)
    }
}
