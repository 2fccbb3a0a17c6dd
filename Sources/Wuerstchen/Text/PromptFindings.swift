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
}

extension TextEncoder {
    /// What the encoder cannot follow of a prompt and, where guidance reads one, a negative prompt.
    ///
    /// - Parameters:
    ///   - embedding: What ``encode(_:negative:syntax:)`` made of them.
    ///   - prompt: The prompt.
    ///   - negative: The negative prompt; nil where none is read.
    ///   - syntax: How both are read.
    /// - Returns: What was found.
    /// - Throws: ``WuerstchenError`` for a prompt that cannot be read.
    public func findings(
        _ embedding: TextEmbedding<Stage>, of prompt: String, negative: String?,
        syntax: PromptSyntax
    ) throws -> PromptFindings {
        let prompt = try WeightedPrompt(prompt, syntax: syntax).text
        let negative = try WeightedPrompt(negative ?? "", syntax: syntax).text
        var findings = PromptFindings()
        findings.isPromptTruncated = embedding.isTruncated
        findings.unreadPrompt = tokenizer.unreadEnd(of: prompt)
        findings.isNegativePromptTruncated = embedding.isNegativeTruncated
        if embedding.isNegativeTruncated {
            findings.unreadNegativePrompt = tokenizer.unreadEnd(of: negative)
        }
        findings.unknownWords = tokenizer.unknownWords(in: prompt)
        findings.unknownWords += tokenizer.unknownWords(in: negative)
            .filter { !findings.unknownWords.contains($0) }
        return findings
    }
}
