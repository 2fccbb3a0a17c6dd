public import Foundation
internal import TensorCore
internal import Wuerstchen
internal import WuerstchenNN
public import WuerstchenTraining

/// How the small cascade is trained from nothing, piece by piece, each in a folder of its own.
///
/// A piece that was stopped goes on where it was; one that is done is done. Later pieces stand on
/// earlier ones: the order of ``Piece`` is one that works, and pieces that do not stand on each
/// other can be trained at the same time.
public struct MiniatureRecipe: Sendable {
    /// What is trained.
    public enum Piece: String, Sendable, CaseIterable {
        /// The VQGAN.
        case stageA = "stage-a"
        /// Stage A's decoder once more, without the adversary, whose pattern it unlearns.
        case decoder
        /// The semantic compressor, with the preview decoder.
        case compressor
        /// The text encoder, on captions alone.
        case text
        /// The probe that reads images back.
        case probe
        /// The preview decoder once more, on the compressor as it is when it is done.
        case preview
        /// Stage B with its text encoder, on Stage A and the compressor.
        case stageB = "stage-b"
        /// Stage C with its text encoder, on the compressor.
        case stageC = "stage-c"
    }

    /// The folder of the whole training.
    public let folder: URL
    /// The length of the training: 1 for the shipped cascade's, less to try the recipe out.
    public var length: Double
    /// What share of the rates to take: 1, and less for pieces that are trained already.
    public var rateFactor: Float = 1
    /// The weight of a discriminator of what Stage B makes, through Stage A; 0 for none.
    public var stageBAdversary: Float = 0
    /// What everything random depends on.
    public var seed: UInt64 = 1

    private let pieces: TrainedPieces

    /// A training in a folder.
    ///
    /// - Parameters:
    ///   - folder: The folder.
    ///   - checkpoint: The small cascade as it is, or as it was exported before, to go on from:
    ///     what has not begun is taken from there. nil to begin with nothing.
    ///   - length: The length of the training.
    /// - Throws: `WuerstchenError` when the checkpoint has something missing, or is another
    ///   cascade's.
    public init(in folder: URL, startingFrom checkpoint: URL? = nil, length: Double = 1) throws {
        self.folder = folder
        self.length = length
        pieces = try TrainedPieces(in: folder, startingFrom: checkpoint)
        guard let checkpoint else { return }
        let (text, space) = (MiniatureArchitecture.text, MiniatureArchitecture.latentSpace)
        guard pieces.startingArchitecture?.text == text, pieces.latentSpace == space else {
            throw WuerstchenError(
                .invalidRequest,
                "\(checkpoint.path) is not the small cascade; go on with it by `train cascade`")
        }
    }

    /// The settings of a piece.
    public func options(_ piece: Piece) -> TrainingOptions {
        func steps(_ count: Int) -> Int { max(20, Int(length * Double(count))) }
        var options =
            CascadePiece(rawValue: piece.rawValue).map {
                $0.options(steps: steps($0.options.steps), rateFactor: rateFactor)
            }
            ?? TrainingOptions(
                steps: steps(1200), batchSize: 32, peakRate: rateFactor * 1e-3)
        options.seed = seed
        return options
    }

    private func images(_ split: Scene.Split, crop: Int? = nil) -> SceneImages {
        SceneImages(seed: split == .training ? seed : seed + 1000, split: split, crop: crop)
    }

    /// Trains a piece to its end, or goes on with it.
    ///
    /// - Parameters:
    ///   - piece: What to train.
    ///   - progress: Where to report.
    /// - Throws: `CancellationError` when the task is cancelled, `WuerstchenError` when a piece
    ///   that this one stands on is not trained, and what
    ///   `TrainingRun.run(resumes:start:progress:)` throws.
    public func train(_ piece: Piece, progress: inout TrainingProgress) throws {
        let (options, folder) = (options(piece), folder(of: piece))
        try makeFolder(self.folder)
        switch piece {
        case .stageA:
            var objective = StageAObjective(
                configuration: MiniatureArchitecture.stageA,
                images: images(.training, crop: 128))
            objective.validationImages = images(.heldOut)
            objective.auxiliary = [AdversarialLoss.patches(weight: 0.05)]
            try TrainingRun(objective, options, in: folder).goOn(
                start: pieces.beginning(of: .stageA, "stage_a"), progress: &progress)
        case .decoder:
            let teacher = try stageA(from: .stageA)
            var objective = DecoderObjective(
                configuration: teacher.configuration, teacher: teacher,
                images: images(.training, crop: 128))
            objective.validationImages = images(.heldOut)
            try TrainingRun(objective, options, in: folder).goOn(
                start: pieces.start(from: Piece.stageA, "stage_a"), progress: &progress)
        case .compressor:
            var objective = CompressorObjective(images: images(.training))
            objective.validationImages = images(.heldOut)
            objective.auxiliary = [
                CompressorHeads(labels: images(.training), validationLabels: images(.heldOut))
            ]
            try TrainingRun(objective, options, in: folder).goOn(
                start: pieces.beginning(of: .compressor, "compressor", "preview"),
                progress: &progress)
        case .text:
            let objective = TextObjective(
                configuration: MiniatureArchitecture.text, tokenizer: try tokenizer(),
                captions: images(.training))
            try TrainingRun(objective, options, in: folder).goOn(progress: &progress)
        case .probe:
            // Judges images of all combinations, so it has seen them all.
            let objective = ProbeObjective(images: images(.training))
            try TrainingRun(objective, options, in: folder).goOn(progress: &progress)
        case .preview:
            let objective = PreviewObjective(
                images: images(.training), compressor: try pieces.compressor())
            try TrainingRun(objective, options, in: folder).goOn(
                start: pieces.start(from: Piece.compressor, "preview"), progress: &progress)
        case .stageB:
            let (stageA, compressor) = (try stageA(), try pieces.compressor())
            var shown = progress
            let encoded = try EncodedScenes(
                of: images(.training), count: length < 0.05 ? 256 : 24_864, stageA: stageA,
                compressor: compressor,
                file: self.folder.appendingPathComponent("scenes.safetensors")
            ) { if $0 % 4096 == 0 { shown.note("\($0) scenes encoded") } }
            var objective = architecture.stageBObjective(
                tokenizer: try tokenizer(), images: encoded, stageA: stageA,
                compressor: compressor)
            if let begun = pieces.startingStageB { objective.noise.blueprint = begun }
            if stageBAdversary > 0 {
                objective.auxiliary = [AdversarialLoss.patchesOfStageB(weight: stageBAdversary)]
            }
            objective.validationImages = images(.heldOut)
            try TrainingRun(objective, options, in: folder).goOn(
                start: pieces.beginning(of: .stageB, "text", "stage_b"), progress: &progress)
        case .stageC:
            let compressor = try pieces.compressor()
            var shown = progress
            let semantics = try CachedSemantics(
                of: images(.training), count: length < 0.05 ? 256 : 30_000,
                compressor: compressor,
                file: self.folder.appendingPathComponent("latents.safetensors")
            ) { if $0 % 8192 == 0 { shown.note("\($0) latents") } }
            var objective = architecture.stageCObjective(
                tokenizer: try tokenizer(), semantics: semantics)
            if let begun = pieces.startingStageC { objective.noise.blueprint = begun }
            objective.validationSemantics = CompressedImages(
                images(.heldOut), compressor: compressor)
            objective.preview = try PreviewDecoder(
                residual: ParameterValues(pieces.average(of: Piece.compressor, "preview")))
            // No checkpoint keeps the heads.
            if pieces.isBegun(Piece.compressor) {
                objective.auxiliary = [
                    CaptionReader(
                        try AttributeHeads(
                            ParameterValues(pieces.average(of: Piece.compressor, "heads")),
                            features: CompressorHeads.features),
                        labels: semantics, validationLabels: images(.heldOut), weight: 0.3)
                ]
            }
            try TrainingRun(objective, options, in: folder).goOn(
                start: pieces.beginning(of: .stageC, "text", "stage_c"), progress: &progress)
        }
    }

    /// The folder of a piece.
    public func folder(of piece: Piece) -> URL { pieces.folder(of: piece) }

    // MARK: What is trained already

    private var architecture: CascadeArchitecture {
        if let begun = pieces.startingArchitecture { return begun }
        var result = CascadeArchitecture.small
        result.text = MiniatureArchitecture.text
        return result
    }

    private func tokenizer() throws -> CLIPTokenizer {
        for folder in [pieces.tokenizer, pieces.decoderTokenizer] {
            try SceneTokenizer.write(to: folder)
        }
        return try CLIPTokenizer(contentsOf: pieces.tokenizer)
    }

    private func stageA(from piece: CascadePiece? = nil) throws -> StageA {
        if pieces.startingArchitecture != nil, !pieces.isBegun(Piece.stageA) {
            // Its latents have their unit.
            return try pieces.stageA(architecture.stageA, from: piece)
        }
        return try pieces.stageA(
            architecture.stageA, from: piece,
            measuredOn: images(.training).batch(1_000_000, count: 64).pixels)
    }

    /// Writes what is trained as a checkpoint in the published layout, with compressor, preview
    /// decoder and captions to fine-tune it with, in 16-bit floats; and the probe as
    /// `probe.safetensors` beside its folder.
    ///
    /// - Throws: `WuerstchenError` when a piece is not trained or files cannot be written.
    public func export(to target: URL) throws {
        _ = try tokenizer()
        var architecture = architecture
        architecture.stageA = try stageA().configuration
        try pieces.export(architecture, to: target)
        try CheckpointCaptions(of: images(.training).captions(0, count: 512).map(\.text))
            .write(in: target)
        // Beside the checkpoint: it judges the cascade and is no part of it.
        guard pieces.startingArchitecture == nil || pieces.isBegun(Piece.probe) else { return }
        try CheckpointExport(to: target.deletingLastPathComponent()).write(
            pieces.average(of: Piece.probe, "probe"), toFile: "probe.safetensors")
    }
}
