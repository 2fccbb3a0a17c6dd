public import TensorCore
public import Wuerstchen

/// How captions reach a stage that learns: through a text encoder, whose parameters are under
/// `text`, and some of them dropped, for guidance.
public struct CaptionEncoding: Sendable {
    /// The text encoder's numbers.
    public var configuration: CLIPTextModel.Configuration
    /// Splits captions into tokens.
    public var tokenizer: CLIPTokenizer
    /// Whether the text encoder learns along.
    public var trainsEncoder: Bool
    /// The share of captions that are replaced by nothing.
    public var dropout: Float

    /// An encoding of the given values.
    public init(
        _ configuration: CLIPTextModel.Configuration, tokenizer: CLIPTokenizer,
        trainsEncoder: Bool, dropout: Float = 0.1
    ) {
        self.configuration = configuration
        self.tokenizer = tokenizer
        self.trainsEncoder = trainsEncoder
        self.dropout = dropout
    }

    /// The captions as a stage is to see them: some are empty.
    public func dropping(_ captions: [String], _ random: inout RandomStream) -> [String] {
        captions.map { random.uniform() < dropout ? "" : $0 }
    }

    /// The hidden states of captions, `[captions, tokens, channels]`.
    ///
    /// - Parameters:
    ///   - captions: The captions.
    ///   - parameters: The training's parameters.
    ///   - precision: The numbers that the encoder multiplies.
    /// - Returns: The hidden states.
    /// - Throws: What building the encoder throws.
    public func callAsFunction(
        _ captions: [String], _ parameters: StepParameters, precision: Precision
    ) throws -> Tensor {
        let encodings = captions.map(tokenizer.encode)
        return try parameters.textModel(configuration, precision: precision)(
            ids: encodings.map(\.ids), mask: encodings.map(\.mask))
    }

    /// Whether a parameter of the training is learnt: the encoder's only if it is to learn along.
    func lets(_ name: String) -> Bool { trainsEncoder || !name.hasPrefix("text.") }
}
