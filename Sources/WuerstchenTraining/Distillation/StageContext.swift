public import TensorCore
public import Wuerstchen

/// What stands around a stage where it is distilled: what makes its conditioning, and what shows
/// its latents.
public protocol StageContext<Stage>: Sendable {
    /// The stage.
    associatedtype Stage: DiffusionStage

    /// What a stage is given of some conditions.
    ///
    /// - Parameters:
    ///   - conditions: What it is conditioned on.
    ///   - stage: The stage.
    ///   - isGuided: Whether there is guidance: the conditioning then covers twice the batch, first
    ///     what to lead to, then what to lead away from.
    /// - Returns: The conditioning.
    /// - Throws: `WuerstchenError` where conditions are missing, and what the networks throw.
    func conditioning(
        _ conditions: CouplingConditions, for stage: Stage, isGuided: Bool
    ) throws -> Stage.Conditioning

    /// Images `[batch, height, width, 3]` of latents, for contact sheets; nil where nothing can
    /// show them.
    ///
    /// - Throws: What the networks throw.
    func pixels(of latents: Tensor) throws -> Tensor?
}

extension StageContext {
    /// By default nothing shows latents.
    public func pixels(of latents: Tensor) throws -> Tensor? { nil }

    /// The velocity field of a stage under some conditions.
    ///
    /// - Parameters:
    ///   - stage: The stage.
    ///   - conditions: What it is conditioned on.
    ///   - guidance: The weight of guidance away from no caption; up to 1 there is none.
    /// - Returns: The field.
    /// - Throws: `WuerstchenError` where conditions are missing, and what the networks throw.
    public func field(
        of stage: Stage, under conditions: CouplingConditions, guidance: Float = 1
    ) throws -> FlowField {
        try stage.flow(
            conditioning(
                conditions, for: stage, isGuided: SamplingOptions.isGuided(by: guidance)),
            guidance: guidance)
    }
}

/// What stands around Stage C: its text encoder, which stays as it is.
public struct StageCContext: StageContext {
    /// The text encoder.
    public var textEncoder: TextEncoder<StageC>
    /// Shows what latents mean.
    @Incidental public var preview: PreviewDecoder?

    /// A context of the given parts.
    public init(textEncoder: TextEncoder<StageC>, preview: PreviewDecoder? = nil) {
        self.textEncoder = textEncoder
        self.preview = preview
    }

    /// The captions' keys and values.
    public func conditioning(
        _ conditions: CouplingConditions, for stage: StageC, isGuided: Bool
    ) throws -> StageC.Conditioning {
        try stage.conditioning(
            conditions.text(textEncoder, isGuided: isGuided), isGuided: isGuided)
    }

    /// What the preview decoder shows.
    public func pixels(of latents: Tensor) throws -> Tensor? { try preview?.pixels(of: latents) }
}

/// What stands around Stage B: its text encoder, which stays as it is.
public struct StageBContext: StageContext {
    /// The text encoder.
    public var textEncoder: TextEncoder<StageB>
    /// Shows what latents mean.
    @Incidental public var stageA: StageA?

    /// A context of the given parts.
    public init(textEncoder: TextEncoder<StageB>, stageA: StageA? = nil) {
        self.textEncoder = textEncoder
        self.stageA = stageA
    }

    /// The semantic latents of the stage's own latent space, with the captions if it reads text.
    public func conditioning(
        _ conditions: CouplingConditions, for stage: StageB, isGuided: Bool
    ) throws -> StageB.Conditioning {
        guard let semantics = conditions.semantics else {
            throw WuerstchenError(
                .invalidRequest,
                "these couplings have no semantic latents; they are not for Stage B")
        }
        return try stage.conditioning(
            SemanticLatent(values: semantics, space: stage.latentSpace),
            stage.readsText ? conditions.text(textEncoder, isGuided: isGuided) : nil,
            isGuided: isGuided)
    }

    /// What Stage A shows.
    public func pixels(of latents: Tensor) throws -> Tensor? {
        try stageA?.pixels(of: ImageLatent(values: latents))
    }
}

extension CouplingConditions {
    fileprivate func text<Stage>(
        _ encoder: TextEncoder<Stage>, isGuided: Bool
    ) throws -> TextEmbedding<Stage> {
        try encoder.encode(captions, negatives: isGuided ? captions.map { _ in "" } : nil)
    }
}
