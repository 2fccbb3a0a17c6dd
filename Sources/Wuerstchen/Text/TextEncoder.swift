public import TensorCore

/// A tokenizer and a text transformer: a prompt in, the conditioning of one stage out.
///
/// The stages of a cascade were trained with different text encoders. `Stage` is the stage that an
/// encoder belongs to, ``StageC`` or ``StageB``, so that one stage's embedding does not compile as
/// the other's.
public struct TextEncoder<Stage>: Sendable {
    /// Splits text into tokens.
    public let tokenizer: CLIPTokenizer
    /// Maps tokens to hidden states.
    public let model: CLIPTextModel

    /// An encoder of the given parts.
    ///
    /// - Throws: ``WuerstchenError`` with code `invalidVocabulary` when the tokenizer has tokens or
    ///   lengths that the model has not.
    public init(tokenizer: CLIPTokenizer, model: CLIPTextModel) throws {
        try tokenizer.requireFit(model.configuration)
        self.tokenizer = tokenizer
        self.model = model
    }

    /// Encodes a prompt.
    ///
    /// - Parameters:
    ///   - prompt: What the image should show. Text beyond the tokenizer's length is cut off; see
    ///     ``TextEmbedding/isTruncated``.
    ///   - negative: What guidance leads away from; nil where no guidance is used, which saves its
    ///     encoding.
    ///   - syntax: How both are read.
    /// - Returns: `[1, tokens, channels]` for the prompt and for the negative.
    /// - Throws: `CancellationError` when the task is cancelled, or ``WuerstchenError`` with code
    ///   `notFinite` when the weights are damaged.
    public func encode(
        _ prompt: String, negative: String? = "", syntax: PromptSyntax = .plain
    ) throws -> TextEmbedding<Stage> {
        try encode([prompt], negatives: negative.map { [$0] }, syntax: syntax)
    }

    /// Encodes several prompts, for a batch of images.
    ///
    /// A token of weight w moves from where the empty prompt has its hidden state at that position
    /// to w times as far: `e + w · (h − e)`, as ComfyUI weights prompts. With weight 1 it stays
    /// exactly where it is.
    ///
    /// - Parameters:
    ///   - prompts: What the images should show.
    ///   - negatives: What guidance leads away from, one for each prompt; nil for none.
    ///   - syntax: How all of them are read.
    /// - Returns: `[prompts, tokens, channels]` for the prompts and for the negatives.
    /// - Throws: As ``encode(_:negative:syntax:)``, and ``WuerstchenError`` with code
    ///   `invalidRequest` when the numbers of prompts and negatives differ or are zero.
    public func encode(
        _ prompts: [String], negatives: [String]?, syntax: PromptSyntax = .plain
    ) throws -> TextEmbedding<Stage> {
        guard !prompts.isEmpty, negatives == nil || negatives?.count == prompts.count else {
            throw WuerstchenError(
                .invalidRequest,
                "\(prompts.count) prompts with \(negatives?.count ?? 0) negative prompts")
        }
        // Each text once, however often it is asked for.
        let texts = prompts + (negatives ?? [])
        let distinct = Array(Set(texts)).sorted()
        let weighted = try distinct.map {
            tokenizer.encode(try WeightedPrompt($0, syntax: syntax))
        }
        let encodings = weighted.map(\.encoding)
        var hidden = try model(ids: encodings.map(\.ids), mask: encodings.map(\.mask))
        if weighted.contains(where: { $0.weights.contains { $0 != 1 } }) {
            hidden = try self.weighted(hidden, by: weighted.map(\.weights))
        }
        guard hidden.isFinite else {
            throw WuerstchenError(
                .notFinite,
                "the text encoder of \(Stage.self) gave values that are not numbers; its weights "
                    + "are damaged")
        }
        func rows(_ texts: [String]) -> Tensor {
            Tensor.concatenating(
                texts.map { text in
                    let place = distinct.firstIndex(of: text) ?? 0
                    return hidden[place..<place + 1]
                })
        }
        func isTruncated(_ texts: [String]) -> Bool {
            texts.contains { encodings[distinct.firstIndex(of: $0) ?? 0].isTruncated }
        }
        return TextEmbedding(
            prompts: rows(prompts), negatives: negatives.map(rows),
            isTruncated: isTruncated(prompts), isNegativeTruncated: isTruncated(negatives ?? []))
    }
}

extension TextEncoder {
    /// Hidden states moved along the lines from those of the empty prompt.
    private func weighted(_ hidden: Tensor, by weights: [[Float]]) throws -> Tensor {
        let none = tokenizer.encode("")
        let empty = try model(ids: [none.ids], mask: [none.mask]).elements
        var values = hidden.elements
        let channels = hidden.shape[2]
        for (row, weights) in weights.enumerated() {
            for (token, weight) in weights.enumerated() where weight != 1 {
                let start = (row * weights.count + token) * channels
                for channel in 0..<channels {
                    let origin = empty[token * channels + channel]
                    values[start + channel] = origin + weight * (values[start + channel] - origin)
                }
            }
        }
        return Tensor(values, hidden.shape)
    }
}

/// Prompts as the hidden states of a text encoder, for one stage.
public struct TextEmbedding<Stage>: Sendable {
    /// `[prompts, tokens, channels]`
    public var prompts: Tensor
    /// What guidance leads away from, in the shape of the prompts; nil where there is none.
    public var negatives: Tensor?
    /// Whether a prompt was longer than the tokenizer's length and lost its end.
    public let isTruncated: Bool
    /// Whether a negative prompt was.
    public let isNegativeTruncated: Bool

    /// Hidden states from elsewhere, each `[prompts, tokens, channels]`.
    public init(
        prompts: Tensor, negatives: Tensor? = nil, isTruncated: Bool = false,
        isNegativeTruncated: Bool = false
    ) {
        self.prompts = prompts
        self.negatives = negatives
        self.isTruncated = isTruncated
        self.isNegativeTruncated = isNegativeTruncated
    }
}
