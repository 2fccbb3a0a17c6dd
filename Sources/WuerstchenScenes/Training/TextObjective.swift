internal import TensorCore
public import Wuerstchen
public import WuerstchenTraining

/// Captions of drawn scenes, for learning language alone.
public protocol CaptionSource: Sendable {
    /// A batch, the same for the same number and count.
    func captions(_ number: Int, count: Int) -> [(text: String, labels: SceneLabels)]
}

/// The text encoder of a small cascade, taught to say what a caption mentions.
///
/// Published cascades have CLIP for that. Without it, a stage has to discover language through its
/// diffusion loss, which takes it hundreds of thousands of images.
public struct TextObjective: TrainingObjective {
    /// The part's name.
    public let name = "text"
    /// The architecture's numbers.
    public var configuration: CLIPTextModel.Configuration
    /// Splits captions into tokens.
    public var tokenizer: CLIPTokenizer
    /// The captions.
    public var captions: any CaptionSource

    /// An objective for an architecture, learnt from captions.
    public init(
        configuration: CLIPTextModel.Configuration, tokenizer: CLIPTokenizer,
        captions: any CaptionSource
    ) {
        self.configuration = configuration
        self.tokenizer = tokenizer
        self.captions = captions
    }

    /// Refuses a tokenizer of another vocabulary than the text encoder's.
    public func validate() throws { try tokenizer.requireFit(configuration) }

    /// The parameters of the text encoder and of classifiers on two of its positions.
    public func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try parameters.addText(configuration, seed: seed)
        try parameters.add("heads", from: InitialParameters(seed: seed)) {
            _ = try AttributeHeads($0, features: 2 * configuration.channels)
        }
        return parameters
    }

    /// The loss of a batch: of classifiers on the end of the text and on the last position.
    public func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        let batch = captions.captions(step.batch, count: step.batchSize)
        let encodings = batch.map { tokenizer.encode($0.text) }
        let hidden = try parameters.textModel(configuration, precision: step.precision)(
            ids: encodings.map(\.ids), mask: encodings.map(\.mask))
        let (tokens, width) = (hidden.shape[1], hidden.shape[2])
        let rows = hidden.reshaped(to: [step.batchSize * tokens, width])
        let ends = encodings.enumerated().map { index, encoding in
            index * tokens + max(0, encoding.mask.count { $0 } - 1)
        }
        let last = (0..<step.batchSize).map { ($0 + 1) * tokens - 1 }
        // Both positions side by side: rows in turns, read as pairs.
        let pairs = rows.embeddingLookup(zip(ends, last).flatMap { [$0, $1] })
        let heads = try AttributeHeads(parameters.source("heads"), features: 2 * width)
        let (loss, accuracy) = heads.loss(
            pairs.reshaped(to: [step.batchSize, 2 * width]), batch.map(\.labels.mentioned))
        return TrainingLoss(loss, metrics: ["accuracy": accuracy])
    }
}
