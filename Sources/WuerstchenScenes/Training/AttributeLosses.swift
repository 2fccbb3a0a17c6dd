internal import TensorCore
internal import WuerstchenNN
public import WuerstchenTraining

/// Attribute heads on the compressor's latents, trained along with it: they make the latents say
/// what a drawn scene shows, as training on ImageNet does for the published compressor.
public struct CompressorHeads: AuxiliaryLoss {
    /// What the images show.
    public var labels: any SceneLabelSource
    /// What images that are not learnt from show.
    @Incidental public var validationLabels: (any SceneLabelSource)? = nil
    /// The weight of the heads' loss.
    public var weight: Float = 0.02

    /// The latents of whole scenes: six by six positions of 16 channels.
    static let features = 6 * 6 * 16
    private static let scope = "heads"

    /// Heads for images with labels.
    public init(labels: any SceneLabelSource, validationLabels: (any SceneLabelSource)? = nil) {
        self.labels = labels
        self.validationLabels = validationLabels
    }

    /// The heads' parameters under `heads`.
    public func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try parameters.add(
            CompressorHeads.scope, from: InitialParameters(seed: seed)
        ) { _ = try AttributeHeads($0, features: CompressorHeads.features) }
        return parameters
    }

    /// The heads' cross-entropies; nil for latents of anything but whole scenes.
    public func loss(
        _ output: CompressorObjective.Output, _ parameters: StepParameters, _ step: TrainingStep
    ) throws -> AuxiliaryTerms? {
        let shape = output.latents.shape
        guard shape[1] == 6, shape[2] == 6 else { return nil }
        let heads = try AttributeHeads(
            parameters.source(CompressorHeads.scope), features: CompressorHeads.features)
        let (sum, accuracy) = heads.loss(
            output.latents.reshaped(to: [shape[0], CompressorHeads.features]),
            labels.labels(output.batch, count: shape[0]).map(\.visible))
        return AuxiliaryTerms([(weight, sum)], metrics: ["heads": accuracy])
    }

    /// The same over images that are not learnt from.
    public var validation: CompressorHeads? {
        validationLabels.map {
            var result = self
            result.labels = $0
            return result
        }
    }
}

/// Trained attribute heads, kept as they are, on the clean latents that Stage C predicts: they ask
/// for what captions mention.
///
/// The squared error alone hardly notices a moon on the wrong side. The heads look at times from
/// 0.88 to 0.98: before, the noisy latent itself shows where things are; beyond, the slope of the
/// clean latents grows without bounds.
public struct CaptionReader: AuxiliaryLoss {
    /// The heads.
    public var heads: AttributeHeads
    /// What latents show and captions mention.
    public var labels: any SceneLabelSource
    /// The same for latents that are not learnt from.
    @Incidental public var validationLabels: (any SceneLabelSource)? = nil
    /// The weight at the beginning of the training; it falls to 0 until the end.
    public var weight: Float

    /// A reader of latents with labels.
    public init(
        _ heads: AttributeHeads, labels: any SceneLabelSource,
        validationLabels: (any SceneLabelSource)? = nil, weight: Float
    ) {
        self.heads = heads
        self.labels = labels
        self.validationLabels = validationLabels
        self.weight = weight
    }

    /// What the heads get wrong of mentioned attributes; nil where nothing is asked.
    public func loss(
        _ output: StageCObjective.Output, _ parameters: StepParameters, _ step: TrainingStep
    ) throws -> AuxiliaryTerms? {
        let weight = weight * (1 - Float(step.number) / Float(max(1, step.count)))
        guard weight > 0 else { return nil }
        let labels = labels.labels(output.batch, count: output.captions.count)
        let asked = labels.indices.map { row in
            (0.88...0.98).contains(output.noisy.times[row]) && !output.captions[row].isEmpty
                ? labels[row].mentioned : SceneAttribute.allCases.map { _ in nil }
        }
        guard asked.contains(where: { $0.contains { $0 != nil } }) else { return nil }
        let (unread, accuracy) = heads.loss(output.clean.flattenedSamples, asked)
        return AuxiliaryTerms([(weight, unread)], metrics: ["read": accuracy])
    }

    /// The shares of mentioned attributes that are read from the predicted latents: what of its
    /// captions the stage has decided on.
    public func measurements(_ output: StageCObjective.Output) -> [String: Float] {
        let labels = labels.labels(output.batch, count: output.captions.count)
        let shares = heads.accuracy(output.clean.flattenedSamples, labels.map(\.mentioned))
        return Dictionary(uniqueKeysWithValues: shares.map { ("\($0) read", $1) })
    }

    /// The same over latents that are not learnt from, which measures and adds no loss.
    public var validation: CaptionReader? {
        validationLabels.map {
            var result = self
            result.labels = $0
            result.weight = 0
            return result
        }
    }
}

extension Tensor {
    /// `[samples, everything else]`
    fileprivate var flattenedSamples: Tensor {
        reshaped(to: [shape[0], count / max(1, shape[0])])
    }
}
