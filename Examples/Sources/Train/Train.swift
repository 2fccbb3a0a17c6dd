import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen
import WuerstchenScenes
import WuerstchenTraining

@main struct Train: Command {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Train the parts of a cascade, on a folder of captioned images or drawn scenes.",
        discussion: """
            Every part is trained in a folder of its own, which holds the state to resume from, a log, \
            and report.html with the losses, the settings and samples. --resume continues an \
            interrupted training (Ctrl-C, a crash, a power cut) bit-exactly.
            """,
        subcommands: [
            TrainCascade.self, ExportCascade.self, AssembleCheckpoint.self, TrainStageA.self,
            TrainCompressorAndB.self, TrainStageC.self, TrainPreview.self, TrainLoRA.self,
            TrainMiniature.self, ExportMiniature.self,
        ])
}

/// How parts are trained where nothing else is wanted.
enum PartDefaults: TrainingDefaults {
    static let (steps, batch) = (10_000, 8)
    static let (rate, decay, average): (Float, Float, Float) = (1e-3, 0.01, 0.998)
}

/// How much memory a training may take.
struct TrainingMemoryArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            Refuse to begin if a step needs more memory than this, such as 8G, and say what would fit. \
            Activations are computed anew for gradients where that is enough. (default: none; what \
            the machine has decides about the activations)
            """, valueName: "size"))
    var memoryLimit: ByteCount?
}

/// What all parts are trained with.
struct PartArguments<Defaults: TrainingDefaults>: ParsableArguments {
    @OptionGroup var training: TrainingArguments<Defaults>
    @OptionGroup var folder: TrainingFolderArguments

    @Option(
        help: """
            The side of square images of a folder, in pixels; others get as many pixels. (default: \
            256, which drawn scenes have; for lora, what the checkpoint was trained at)
            """)
    var side: Int?

    @OptionGroup var compute: ComputeArguments

    @OptionGroup var memory: TrainingMemoryArguments

    @Flag(help: "Write over reports and checkpoints in the folder that no training here made.")
    var force = false

    func validate() throws {
        try training.options(compute).validate()
        guard let side else { return }
        guard folder.images != nil else {
            throw ValidationError(
                "--side is for --images: drawn scenes have \(SceneRenderer.side) pixels a side")
        }
        try requireMultiple(of: 128, in: 128...4096, side, "--side")
    }

    /// The side of the images that are learnt from.
    var imageSide: Int { side ?? SceneRenderer.side }

    /// What is learnt from and, where there is enough, what is not.
    ///
    /// - Parameters:
    ///   - crop: The side of crops that are learnt in place of whole images.
    ///   - side: The side of images where none was named.
    ///   - readsCaptions: Whether captions are read.
    /// - Returns: The images.
    /// - Throws: What reading the folder throws.
    func sources(
        crop: Int? = nil, side: Int? = nil, readsCaptions: Bool = false
    ) throws -> TrainingImages {
        var options = ImageFolderOptions(
            sizes: crop.map { .crops(side: $0) }
                ?? .buckets(AspectBuckets(side: self.side ?? side ?? imageSide)),
            crop: .random, readsCaptions: readsCaptions, seed: compute.seed)
        if crop != nil { options.mirrors = true }
        return try folder.trainingImages(options)
            ?? TrainingImages(
                SceneImages(seed: compute.seed, crop: crop),
                heldOut: SceneImages(seed: compute.seed &+ 1, split: .heldOut))
    }

    /// Trains a part in the folder, or in a part of it, and gives its parameters.
    ///
    /// - Parameters:
    ///   - objective: What is trained.
    ///   - part: The part of the folder.
    ///   - isLater: Whether another part comes first, so that this one need not be begun when the
    ///     training is resumed.
    ///   - start: Parameters to begin with in place of initial ones.
    ///   - export: Writes the averaged parameters to the checkpoint, now and then and at the end.
    /// - Returns: The averaged parameters.
    /// - Throws: What training throws.
    @discardableResult
    func run<Objective: TrainingObjective>(
        _ objective: Objective, in part: String? = nil, isLater: Bool = false,
        start: [String: Tensor] = [:],
        export: @escaping @Sendable (TrainableParameters) throws -> Void = { _ in }
    ) throws -> TrainableParameters {
        var folder = training.folder
        if let part { folder.appendPathComponent(part) }
        var progress = TrainingProgress()
        progress.note("training \(objective.name) in \(folder.path)")
        if part != nil, !force, ProcessGroup.isFirst {
            try requireNothingForeign(in: training.folder)
        }
        let fit = try MemoryFit(
            objective, training.options(compute), limit: memory.memoryLimit?.bytes)
        progress.note(fit.description)
        var run = try TrainingRun(fit.objective, training.options(compute), in: folder)
        run.replacesForeignFiles = force
        run.whenSaved = { try export(TrainableParameters($0)) }
        let trained = TrainableParameters(
            try run.run(
                resumes: training.resume && (run.isBegun || !isLater), start: start,
                progress: &progress))
        // Also of a run that had taken all its steps before.
        try ProcessGroup.inFirst { try export(trained) }
        return trained
    }

    /// The folder, taken for several trainings in it, one after the other.
    func lock() throws -> FolderLock {
        if training.resume { try requireTraining(at: training.folder) }
        return try FolderLock(training.folder, for: ProcessGroup.current.process)
    }

    /// Where trained parts are written in the published layout.
    var export: CheckpointExport {
        CheckpointExport(
            to: training.folder.appendingPathComponent("checkpoint"),
            elementType: training.elementType)
    }
}
