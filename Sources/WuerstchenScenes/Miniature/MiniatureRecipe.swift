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
    /// What everything random depends on.
    public var seed: UInt64 = 1

    /// A training in a folder.
    public init(in folder: URL, length: Double = 1) {
        self.folder = folder
        self.length = length
    }

    /// The settings of a piece.
    public func options(_ piece: Piece) -> TrainingOptions {
        func steps(_ count: Int) -> Int { max(20, Int(length * Double(count))) }
        var options: TrainingOptions
        switch piece {
        case .stageA:
            options = TrainingOptions(
                steps: steps(2400), batchSize: 16, peakRate: 2e-3, weightDecay: 1e-4)
        case .compressor:
            options = TrainingOptions(
                steps: steps(3000), batchSize: 12, peakRate: 2e-3, weightDecay: 1e-4)
        case .text:
            options = TrainingOptions(steps: steps(700), batchSize: 128, peakRate: 1e-3)
        case .preview:
            options = TrainingOptions(
                steps: steps(4000), batchSize: 16, peakRate: 1e-3, weightDecay: 1e-4)
        case .probe:
            options = TrainingOptions(steps: steps(1200), batchSize: 32, peakRate: 1e-3)
        case .stageB:
            options = TrainingOptions(
                steps: steps(20000), batchSize: 8, peakRate: 1e-3, weightDecay: 1e-3)
        case .stageC:
            options = TrainingOptions(
                steps: steps(18000), batchSize: 48, peakRate: 1e-3, averageDecay: 0.999)
        }
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
        switch piece {
        case .stageA:
            var objective = StageAObjective(
                configuration: MiniatureArchitecture.stageA,
                images: images(.training, crop: 128))
            objective.validationImages = images(.heldOut)
            try continued(TrainingRun(objective, options, in: folder), &progress)
        case .compressor:
            var objective = CompressorObjective(images: images(.training))
            objective.validationImages = images(.heldOut)
            objective.auxiliary = [
                CompressorHeads(labels: images(.training), validationLabels: images(.heldOut))
            ]
            try continued(TrainingRun(objective, options, in: folder), &progress)
        case .text:
            let objective = TextObjective(
                configuration: MiniatureArchitecture.text, tokenizer: try tokenizer(),
                captions: images(.training))
            try continued(TrainingRun(objective, options, in: folder), &progress)
        case .probe:
            // Judges images of all combinations, so it has seen them all.
            let objective = ProbeObjective(images: images(.training))
            try continued(TrainingRun(objective, options, in: folder), &progress)
        case .preview:
            let objective = PreviewObjective(
                images: images(.training), compressor: try compressor())
            try continued(
                TrainingRun(objective, options, in: folder),
                start: start(from: .compressor, "preview"), &progress)
        case .stageB:
            let stageA = try stageA()
            var objective = StageBObjective(
                NoisePrediction(
                    StageBlueprint(
                        configuration: MiniatureArchitecture.stageB,
                        latentSpace: MiniatureArchitecture.latentSpace),
                    weighting: .inverseSignal),
                captions: CaptionEncoding(
                    MiniatureArchitecture.text, tokenizer: try tokenizer(), trainsEncoder: false),
                images: images(.training), stageA: stageA, compressor: try compressor())
            objective.validationImages = images(.heldOut)
            try continued(
                TrainingRun(objective, options, in: folder), start: start(from: .text, "text"),
                &progress)
        case .stageC:
            let compressor = try compressor()
            var shown = progress
            let semantics = try CachedSemantics(
                of: images(.training), count: length < 0.05 ? 256 : 30_000,
                compressor: compressor,
                file: self.folder.appendingPathComponent("latents.safetensors")
            ) { if $0 % 8192 == 0 { shown.note("\($0) latents") } }
            var objective = StageCObjective(
                NoisePrediction(
                    StageBlueprint(
                        configuration: MiniatureArchitecture.stageC,
                        latentSpace: MiniatureArchitecture.latentSpace),
                    weighting: .clean),
                captions: CaptionEncoding(
                    MiniatureArchitecture.text, tokenizer: try tokenizer(), trainsEncoder: true),
                semantics: semantics)
            objective.validationSemantics = CompressedImages(
                images(.heldOut), compressor: compressor)
            objective.preview = try PreviewDecoder(
                residual: ParameterValues(average(of: .compressor, "preview")))
            objective.auxiliary = [
                CaptionReader(
                    try AttributeHeads(
                        ParameterValues(average(of: .compressor, "heads")),
                        features: CompressorHeads.features),
                    labels: semantics, validationLabels: images(.heldOut), weight: 0.3)
            ]
            objective.noise.times = TimeDistribution(highNoiseShare: 0.5)
            try continued(
                TrainingRun(objective, options, in: folder), start: start(from: .text, "text"),
                &progress)
        }
    }

    /// Trains to the end, from where an earlier training in the folder stopped if there is one.
    private func continued(
        _ run: TrainingRun<some TrainingObjective>, start: [String: Tensor] = [:],
        _ progress: inout TrainingProgress
    ) throws {
        _ = try run.run(resumes: run.isBegun, start: start, progress: &progress)
    }

    /// The folder of a piece.
    public func folder(of piece: Piece) -> URL {
        folder.appendingPathComponent(piece.rawValue)
    }

    // MARK: What is trained already

    /// The averaged parameters of one network of a piece, whose training need not be over.
    private func average(of piece: Piece, _ scope: String) throws -> [String: Tensor] {
        let file = folder(of: piece).appendingPathComponent("state.safetensors")
        guard FileManager.default.fileExists(atPath: file.path) else {
            throw WuerstchenError(
                .fileNotFound, "\(file.path) is not there; train \(piece.rawValue) first")
        }
        let state = try TrainingState(contentsOf: file)
        let values = TrainableParameters(state.average.values).scope(scope)
        guard !values.isEmpty else {
            throw WuerstchenError(.malformedFile, "\(file.path) has no parameters of \(scope)")
        }
        return values
    }

    /// The same under the network's scope, for another piece to begin with.
    private func start(from piece: Piece, _ scope: String) throws -> [String: Tensor] {
        TrainableParameters(try average(of: piece, scope), under: scope).values
    }

    private func tokenizer() throws -> CLIPTokenizer {
        let directory = folder.appendingPathComponent("tokenizer")
        try SceneTokenizer.write(to: directory)
        return try CLIPTokenizer(contentsOf: directory)
    }

    private func compressor() throws -> SemanticCompressor {
        try SemanticCompressor(
            parameters: ParameterValues(average(of: .compressor, "compressor")),
            precision: .bfloat16, latentSpace: MiniatureArchitecture.latentSpace)
    }

    /// Stage A, whose latents' deviation over some images becomes the unit of Stage B's.
    private func stageA() throws -> StageA {
        let parameters = ParameterValues(try average(of: .stageA, "stage_a"))
        var configuration = MiniatureArchitecture.stageA
        let stage = try StageA(
            configuration: configuration, parameters: parameters, precision: .bfloat16)
        let pixels = images(.training).batch(1_000_000, count: 64).pixels
        configuration.latentScale = try stage.measuredLatentScale(pixels)
        return try StageA(
            configuration: configuration, parameters: parameters, precision: .bfloat16)
    }

    /// Writes what is trained as a checkpoint in the published layout, with compressor and
    /// preview decoder, in 16-bit floats; and the probe as `probe.safetensors` beside its folder.
    ///
    /// - Throws: `WuerstchenError` when a piece is not trained or files cannot be written.
    public func export(to target: URL) throws {
        let export = CheckpointExport(to: target)
        _ = try tokenizer()
        try export.writePriorIndex(
            space: MiniatureArchitecture.latentSpace, side: 256, schedule: NoiseSchedule())
        try export.writeDecoderIndex(
            space: MiniatureArchitecture.latentSpace, schedule: NoiseSchedule())
        for pipeline in [\CheckpointLayout.prior, \.decoder] {
            try export.copyTokenizer(folder.appendingPathComponent("tokenizer"), to: pipeline)
        }
        try export.write(
            average(of: .stageA, "stage_a"), stageA().configuration, to: \.stageA)
        try export.write(
            average(of: .stageB, "stage_b"), MiniatureArchitecture.stageB, to: \.stageB)
        try export.write(
            average(of: .stageB, "text"), MiniatureArchitecture.text,
            to: \.decoderTextEncoder)
        try export.write(
            average(of: .stageC, "stage_c"), MiniatureArchitecture.stageC,
            to: \.stageC)
        try export.write(
            average(of: .stageC, "text"), MiniatureArchitecture.text,
            to: \.priorTextEncoder)
        try export.write(average(of: .compressor, "compressor"), toFile: "compressor.safetensors")
        try export.write(average(of: .preview, "preview"), toFile: "preview.safetensors")
        // Beside the checkpoint: it judges the cascade and is no part of it.
        try CheckpointExport(to: target.deletingLastPathComponent()).write(
            average(of: .probe, "probe"), toFile: "probe.safetensors")
    }
}
