public import Foundation
public import TensorCore
public import Wuerstchen
public import WuerstchenNN

/// Training of low-rank adapters for the stages of a checkpoint, from images with captions to a
/// file that `Cascade` loads beside the checkpoint.
public struct LoRATraining: Sendable {
    /// What the adapters are like.
    public var configuration = LoRAConfiguration()
    /// Whether the text encoder in front of Stage C gets an adapter too, in the training of Stage
    /// C: for words that it does not know.
    public var adaptsText = false
    /// How errors at different noise levels count; nil for each stage's own way.
    public var weighting: NoiseWeighting?
    /// Whether activations are computed anew for gradients rather than kept.
    public var checkpointsActivations = false
    /// The checkpoint, of which a stage is loaded when it is needed.
    public let cascade: Cascade
    private let checkpoint: URL
    private let replacements: StageFolders

    /// Adapters for a checkpoint.
    ///
    /// - Parameters:
    ///   - checkpoint: The checkpoint's folder.
    ///   - replacements: Folders of stages to take in place of the checkpoint's.
    /// - Throws: As `Cascade(contentsOf:)`.
    public init(
        for checkpoint: URL, replacing replacements: StageFolders = StageFolders()
    ) throws {
        self.checkpoint = checkpoint
        self.replacements = replacements
        cascade = try Cascade(
            contentsOf: checkpoint, memory: .sequential, replacing: replacements)
    }

    /// The training of Stage C's adapter, and of its text encoder's if that is wanted.
    ///
    /// - Parameter semantics: Latents and captions.
    /// - Returns: The objective.
    /// - Throws: `WuerstchenError` when the stage predicts no noise, and what reading the
    ///   checkpoint throws.
    public func stageC(_ semantics: any SemanticSource) throws -> LoRAObjective<StageCObjective> {
        let text = try cascade.textEncoder()
        var objective = StageCObjective(
            try noise(.clean),
            captions: captions(text.tokenizer, text.model.configuration), semantics: semantics)
        objective.preview = cascade.previewDecoder
        return LoRAObjective(
            objective, frozen: try frozen(StageC.self, \.priorTextEncoder),
            adapters: adapters(
                adaptsText ? [StageC.scope, Self.textScope] : [StageC.scope]))
    }

    /// The training of Stage B's adapter.
    ///
    /// - Parameters:
    ///   - images: Images and captions.
    ///   - compressor: The checkpoint's semantic compressor.
    /// - Returns: The objective.
    /// - Throws: As ``stageC(_:)``.
    public func stageB(
        _ images: any ImageSource, compressor: SemanticCompressor
    ) throws -> LoRAObjective<StageBObjective> {
        let decoder = try cascade.diffusionDecoder()
        let text = try decoder.textEncoder()
        let objective = StageBObjective(
            try noise(.inverseSignal),
            captions: captions(text.tokenizer, text.model.configuration), images: images,
            stageA: try decoder.stageA(), compressor: compressor)
        return LoRAObjective(
            objective, frozen: try frozen(StageB.self, \.decoderTextEncoder),
            adapters: adapters([StageB.scope]))
    }

    /// What trainings have made, as one LoRA.
    ///
    /// - Parameter parameters: What the training of each stage's adapter returned.
    /// - Returns: The LoRA, with the fingerprints of the weights that it belongs to.
    /// - Throws: What reading those weights throws.
    public func lora(of parameters: [[String: Tensor]]) throws -> CascadeLoRA {
        let layout = CheckpointLayout.published
        var result = CascadeLoRA()
        for (network, scope, folder) in [
            (CascadeLoRA.Network.stageC, StageC.scope, StageC.folder(in: checkpoint, replacements)),
            (.stageB, StageB.scope, StageB.folder(in: checkpoint, replacements)),
            (
                .textEncoder, Self.textScope,
                checkpoint.appendingPathComponent(layout.priorTextEncoder.path)
            ),
        ] {
            for values in parameters {
                let lora = LoRA(in: values, scope: scope)
                guard !lora.layers.isEmpty else { continue }
                result.networks[network] = lora
                result.bases[network] = try weightsFingerprint(of: folder)
            }
        }
        return result
    }

    /// The scope of text encoders; see ``CaptionEncoding``.
    private static let textScope = "text"

    private func adapters(_ scopes: [String]) -> [String: LoRAConfiguration] {
        Dictionary(uniqueKeysWithValues: scopes.map { ($0, configuration) })
    }

    private func captions(
        _ tokenizer: CLIPTokenizer, _ text: CLIPTextModel.Configuration
    ) -> CaptionEncoding {
        CaptionEncoding(text, tokenizer: tokenizer, trainsEncoder: false)
    }

    /// How a stage learns.
    private func noise<Stage: CascadeStage>(
        _ standard: NoiseWeighting
    ) throws -> NoisePrediction<Stage> {
        let blueprint = try Stage.part(in: cascade).blueprint()
        try blueprint.requireNoisePrediction(in: cascade.name)
        var noise = NoisePrediction(blueprint, weighting: weighting ?? standard)
        noise.checkpointsActivations = checkpointsActivations
        return noise
    }

    /// A stage's parameters and its text encoder's, which stay as they are.
    private func frozen<Stage: CascadeStage>(
        _ stage: Stage.Type, _ text: KeyPath<CheckpointLayout, CheckpointLayout.Network>
    ) throws -> [String: Tensor] {
        let text = CheckpointLayout.published[keyPath: text]
        let base = checkpoint.appendingPathComponent(Stage.network.path)
        let folder = StudentFolder(Stage.replacement(in: replacements) ?? base)
        var result = TrainableParameters(
            try folder.parameters(over: base).values(), under: Stage.scope)
        result.merge(
            TrainableParameters(
                try CheckpointParameters(
                    directory: checkpoint.appendingPathComponent(text.path), stem: text.stem
                ).values(), under: Self.textScope))
        return result.values
    }
}

extension CascadeStage {
    /// Where the stage of a checkpoint lies.
    fileprivate static func folder(in checkpoint: URL, _ replacements: StageFolders) -> URL {
        replacement(in: replacements) ?? checkpoint.appendingPathComponent(network.path)
    }
}
