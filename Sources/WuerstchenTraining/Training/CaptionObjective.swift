internal import TensorCore
public import Wuerstchen
internal import WuerstchenNN

/// The text encoder of a small cascade, taught to say which words a caption is made of.
///
/// Published cascades have CLIP for that. Without it, a stage has to discover through its diffusion
/// loss that words are carried along at all, which takes it hundreds of thousands of images. At the
/// end of the text and at the last position the encoder is asked for one of the caption's tokens,
/// another one at each visit, so that both come to hold them all.
public struct CaptionObjective: TrainingObjective {
    /// The part's name.
    public let name = "text"
    /// The architecture's numbers.
    public var configuration: CLIPTextModel.Configuration
    /// Splits captions into tokens.
    public var tokenizer: CLIPTokenizer
    /// The captions.
    public var captions: [String]
    /// Captions that are not learnt from.
    @Incidental public var validationCaptions: [String] = []

    /// An objective for an architecture, learnt from captions.
    public init(
        configuration: CLIPTextModel.Configuration, tokenizer: CLIPTokenizer, captions: [String]
    ) {
        self.configuration = configuration
        self.tokenizer = tokenizer
        self.captions = captions
    }

    /// Refuses a tokenizer of another vocabulary than the text encoder's, and captions that say
    /// nothing.
    public func validate() throws {
        try tokenizer.requireFit(configuration)
        guard captions.contains(where: { !$0.isEmpty }) else {
            throw WuerstchenError(
                .invalidRequest, "there is no caption to teach a text encoder with; add some")
        }
    }

    /// The parameters of the text encoder and of a classifier on two of its positions.
    public func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try parameters.addText(configuration, seed: seed)
        try parameters.add("words", from: InitialParameters(seed: seed)) { _ = try head($0) }
        return parameters
    }

    private func head(_ source: any ParameterSource) throws -> Linear {
        try Parameters.load(from: source) {
            try Linear(
                $0, 2 * configuration.channels, configuration.vocabularySize, role: .outputWeight)
        }
    }

    /// The loss of a batch: the cross-entropy of one of each caption's tokens.
    public func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        var random = step.random
        let encodings = (0..<step.batchSize).map { _ in
            tokenizer.encode(captions[random.integer(below: captions.count)])
        }
        let hidden = try parameters.textModel(configuration, precision: step.precision)(
            ids: encodings.map(\.ids), mask: encodings.map(\.mask))
        let (tokens, width) = (hidden.shape[1], hidden.shape[2])
        let rows = hidden.reshaped(to: [step.batchSize * tokens, width])
        // Both positions side by side: rows in turns, read as pairs.
        let pairs = rows.embeddingLookup(
            encodings.enumerated().flatMap { index, encoding in
                [index * tokens + encoding.count - 1, (index + 1) * tokens - 1]
            })
        let wanted = encodings.map { encoding -> Int? in
            let inside = encoding.count - 2
            return inside > 0 ? encoding.ids[1 + random.integer(below: inside)] : nil
        }
        let logits = try head(parameters.source("words"))(
            pairs.reshaped(to: [step.batchSize, 2 * width]))
        let found = logits.largestChannels()
        let right = zip(found, encodings).count { $1.ids[1..<$1.count - 1].contains($0) }
        return TrainingLoss(
            logits.crossEntropy(wanted),
            metrics: ["accuracy": Float(right) / Float(step.batchSize)])
    }

    /// The same over captions that are not learnt from.
    public var validation: CaptionObjective? {
        guard validationCaptions.contains(where: { !$0.isEmpty }) else { return nil }
        var result = self
        result.captions = validationCaptions
        return result
    }
}
