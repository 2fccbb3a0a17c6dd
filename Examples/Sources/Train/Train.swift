import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen
import WuerstchenScenes
import WuerstchenTraining

@main struct Train: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Train the parts of a cascade, from a folder of captioned PNGs or drawn scenes.",
        discussion: """
            Every part is trained in a folder of its own, which holds the state to go on from, a log, \
            the losses as an image, and a sheet of what the part makes. An interrupted training \
            (Ctrl-C, a crash, a power cut) goes on with --resume to the numbers that it would have \
            reached without.
            """,
        subcommands: [
            TrainStageA.self, TrainCompressorAndB.self, TrainStageC.self, TrainPreview.self,
            TrainMiniature.self, ExportMiniature.self,
        ])
}

/// What all parts are trained with.
struct TrainingArguments: ParsableArguments {
    @Argument(help: "The folder of the training; it is made if it is not there.")
    var output: String

    @OptionGroup var folder: ImageArguments
    @OptionGroup var validation: HeldOutArguments

    @Option(
        help: """
            The side of square images of a folder, in pixels; others get as many pixels. (default: \
            256, which drawn scenes have)
            """)
    var side: Int?

    @Option(help: "Steps; when resuming, as many as it was begun with or more.")
    var steps = 10_000

    @Option(help: "Images of a step.")
    var batch = 8

    @Option(
        help: "Images that are computed at a time, to need less memory. (default: all of a step)")
    var microBatch: Int?

    @Option(help: "The highest learning rate.")
    var rate: Float = 1e-3

    @Option(help: "The weight decay, in units of the rate.")
    var decay: Float = 0.01

    @Option(help: "The optimiser: adamw, or muon for hidden matrices with adamw for the rest.")
    var optimizer = OptimizerName.adamw

    @Option(help: "The numbers that networks multiply: float32 or bfloat16.")
    var precision = Precision.bfloat16

    @Option(help: "What everything random depends on.")
    var seed: UInt64 = 0

    @Option(help: "Seconds between checkpoints.")
    var checkpointInterval = 120.0

    @Option(help: "Threads. (default: one for each processor)")
    var threads: Int?

    @Flag(help: "Go on where an earlier training in the folder stopped.")
    var resume = false

    func validate() throws {
        guard (1...100_000_000).contains(steps), (1...65536).contains(batch) else {
            throw ValidationError("--steps and --batch must be positive")
        }
        if let microBatch, microBatch < 1 || batch % microBatch != 0 {
            throw ValidationError("--micro-batch must divide --batch")
        }
        if let side {
            guard folder.images != nil else {
                throw ValidationError(
                    "--side is for --images: drawn scenes have \(SceneRenderer.side) pixels a side"
                )
            }
            guard (128...4096).contains(side), side % 128 == 0 else {
                throw ValidationError("--side must be a multiple of 128 from 128 to 4096")
            }
        }
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads must be 1 to 1024")
        }
    }

    /// The side of the images that are learnt from.
    var imageSide: Int { side ?? SceneRenderer.side }

    var options: TrainingOptions {
        if let threads { Threads.count = threads }
        var options = TrainingOptions(
            steps: steps, batchSize: batch, peakRate: rate, weightDecay: decay)
        options.optimizer = optimizer.optimizer(weightDecay: decay)
        options.precision = precision
        options.microBatches = batch / (microBatch ?? batch)
        options.seed = seed
        options.checkpointInterval = checkpointInterval
        return options
    }

    /// What is learnt from and, where there is enough, what is not.
    func sources(crop: Int? = nil, readsCaptions: Bool = false) throws -> TrainingImages {
        var options = ImageFolderOptions(
            sizes: crop.map { .crops(side: $0) }
                ?? .buckets(AspectBuckets(side: imageSide)),
            crop: .random, heldOutShare: validation.heldOut, readsCaptions: readsCaptions,
            seed: seed)
        if crop != nil { options.mirrors = true }
        return try folder.folder(options).map { TrainingImages($0) }
            ?? TrainingImages(
                SceneImages(seed: seed, crop: crop),
                heldOut: SceneImages(seed: seed &+ 1, split: .heldOut))
    }

    /// Trains a part in the folder, or in a part of it, and gives its parameters.
    ///
    /// - Parameters:
    ///   - objective: What is trained.
    ///   - part: The part of the folder.
    ///   - isLater: Whether another part comes first, so that this one need not be begun when the
    ///     training is resumed.
    ///   - start: Parameters to begin with in place of initial ones.
    /// - Returns: The averaged parameters.
    /// - Throws: What training throws.
    func run<Objective: TrainingObjective>(
        _ objective: Objective, in part: String? = nil, isLater: Bool = false,
        start: [String: Tensor] = [:]
    ) throws -> TrainableParameters {
        var folder = URL(fileURLWithPath: output)
        if let part { folder.appendPathComponent(part) }
        var progress = TrainingProgress()
        progress.note("training \(objective.name) in \(folder.path)")
        let run = try TrainingRun(objective, options, in: folder)
        return TrainableParameters(
            try run.run(
                resumes: resume && (run.isBegun || !isLater), start: start, progress: &progress))
    }

    /// Where trained parts are written in the published layout.
    var export: CheckpointExport {
        CheckpointExport(to: URL(fileURLWithPath: output).appendingPathComponent("checkpoint"))
    }
}
