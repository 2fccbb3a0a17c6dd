public import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen
public import WuerstchenTraining

struct TrainCascade: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cascade",
        abstract: "Train a whole cascade on a folder of captioned images, or go on with it.",
        discussion: """
            Learns a tokenizer from the captions, measures how fast this machine is, says how long \
            each piece will take, and trains Stage A, its decoder once more, the compressor, the text \
            encoder, the preview decoder, Stage B and Stage C. In the folder are `checkpoint`, for text-to-image \
            --checkpoint, and `report.html` with samples; each piece has a report of its own. The \
            same command goes on with a training that was stopped (Ctrl-C, a crash, a power cut).
            """)

    @Argument(help: "The folder of the training; it is made if it is not there.")
    var folder: String

    @OptionGroup var source: ImageArguments

    @Option(help: "Hours in all, shared among the pieces. (default: 2, or as --size takes)")
    var hours: Double?

    @Option(
        help: """
            The networks: tiny (128×128 images), small (256×256 images, the miniature's) or published \
            (512×512 images). Without --hours, they take as many steps as the miniature did. \
            (default: tiny for up to an hour, else small)
            """)
    var size: CascadeSize?

    @Option(
        help: """
            A checkpoint to fine-tune, such as one that this command made: every piece begins with its \
            weights, in its sizes, and learns at a tenth of its rate (--rate-factor). Words that its \
            tokenizer does not have and that are in two captions at least are added to it.
            """)
    var start: String?

    @Option(
        help: """
            With --start, a piece to train, where not all are to be: stage-a, decoder (Stage A's), \
            compressor, preview, stage-b or stage-c; several times for several. The others stay as \
            they are.
            """)
    var only: [CascadePiece] = []

    @OptionGroup var keep: KeepArguments

    @Option(help: "The folder of a tokenizer. (default: one learnt from the captions)")
    var tokenizer: String?

    @Option(help: "The share of the images that is held out, 0 to 0.5; 0 for none.")
    var heldOut = 0.05

    @Option(help: "Images of a step. (default: each piece's own, 8 to 128)")
    var batch: Int?

    @Option(
        help: "The share of each piece's learning rate to take. (default: 1, and with --start 0.1)")
    var rateFactor: Float?

    @OptionGroup var memory: TrainingMemoryArguments

    @Flag(
        help: """
            Say how long the pieces will take and how much memory; train nothing, and leave nothing in \
            the folder.
            """)
    var planOnly = false

    @OptionGroup var compute: ComputeArguments

    enum CascadeSize: String, ExpressibleByArgument, CaseIterable {
        case tiny, small, published

        var architecture: CascadeArchitecture {
            switch self {
            case .tiny: .tiny
            case .small: .small
            case .published: .published
            }
        }
    }

    func validate() throws {
        guard source.images != nil else {
            throw ValidationError(
                "--images FOLDER is needed: images with captions; `train miniature` has drawn scenes"
            )
        }
        guard start == nil || size == nil && tokenizer == nil else {
            throw ValidationError(
                "--start has its sizes and its tokenizer; leave out --size and --tokenizer")
        }
        guard keep.keep == 0 || start != nil else {
            throw ValidationError("--keep is for --start: there is nothing else to keep")
        }
        guard only.isEmpty || start != nil else {
            throw ValidationError("--only is for --start: the other pieces are the checkpoint's")
        }
        guard (0...0.5).contains(heldOut) else {
            throw ValidationError("--held-out must be from 0 to 0.5")
        }
        if let rateFactor { try requireRateFactor(rateFactor) }
        if let batch, !(2...65536).contains(batch) {
            throw ValidationError("--batch must be 2 to 65536")
        }
        if let hours {
            guard hours > 0, hours <= 10_000 else {
                throw ValidationError("--hours must be positive and at most 10000")
            }
        }
    }

    /// The hours that there are; nil where a size alone says how long training takes.
    private var limit: Double? { hours ?? (size == nil ? 2 : nil) }

    func run() async throws {
        let command = self
        try await interruptible { try command.train() }
    }

    private func train() throws {
        guard let images = source.url else { return }
        let status = StatusLine()
        let size = size ?? ((limit ?? 2) <= 1 ? .tiny : .small)
        var options = CascadeTraining.Options(size.architecture)
        options.start = start.map { URL(fileURLWithPath: $0) }
        options.pieces = only.isEmpty ? nil : Set(only)
        options.keep = try keep.knowledge(of: options.start)
        options.tokenizer = tokenizer.map { URL(fileURLWithPath: $0) }
        options.heldOutShare = heldOut
        options.includesSubfolders = source.looksDeeper
        (options.countsRepeats, options.tags) = (source.repeats, source.tags)
        (options.batchSize, options.rateFactor) = (batch, rateFactor)
        (options.seed, options.precision) = (compute.seed, compute.precision)
        let folder = URL(fileURLWithPath: folder)
        // What is only planned leaves nothing behind, so that something else can be trained there.
        let scratch = FileManager.default.temporaryDirectory
            .appendingPathComponent("plan-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: scratch) }
        let isPlanned = planOnly && !CascadeTraining.isBegun(in: folder)
        var training = try CascadeTraining(
            in: isPlanned ? scratch : folder, images: images, options: options,
            report: status.note)
        training.memoryLimit = memory.memoryLimit?.bytes
        status.note("\(training.images.summary(tokenizer: training.tokenizer))")
        if !training.newWords.isEmpty {
            let words = training.newWords
            status.note(
                "\(words.count) new words, such as \(words.prefix(8).joined(separator: ", "))")
        }
        status.note("measuring how fast this machine is")
        let plan = try training.plan(limit: limit.map { $0 * 3600 })
        status.note(
            "the plan, for \(start.map { "the networks of \($0)" } ?? "\(size.rawValue) networks")\n"
                + "\(plan)")
        if let warning = plan.warning { status.note(warning) }
        guard !planOnly else { return }
        var progress = TrainingProgress()
        try training.run(progress: &progress)
        status.note("the checkpoint is in \(training.checkpoint.path)")
    }
}

extension CascadePiece: @retroactive ExpressibleByArgument {}

struct ExportCascade: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write what `train cascade` has so far as a checkpoint, at any time.",
        discussion: """
            Needs every piece to have begun, unless the training has a --start to take the others from. \
            The other parts of `train` write the `checkpoint` in \
            their folder with every checkpoint of the training, and when they are stopped.
            """)

    @Argument(help: "The folder of the training.")
    var folder: String

    @Option(name: .shortAndLong, help: "The folder of the checkpoint. (default: FOLDER/checkpoint)")
    var output: String?

    @Flag(help: "Write into a folder that is there and has something in it.")
    var force = false

    func run() throws {
        let run = URL(fileURLWithPath: folder)
        let target =
            output.map { URL(fileURLWithPath: $0) } ?? run.appendingPathComponent("checkpoint")
        try CheckpointExport.fill(target, replaces: force || output == nil) {
            try CascadeTraining.export(run, to: target)
        }
    }
}

struct AssembleCheckpoint: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "assemble",
        abstract: "Make one checkpoint of parts that were trained one by one.",
        discussion: "Parts that were not made from each other are refused.")

    @Argument(help: "The folder of `train stage-a`.")
    var stageA: String

    @Argument(help: "The folder of `train compressor-and-b`.")
    var stageB: String

    @Argument(help: "The folder of `train stage-c`.")
    var stageC: String

    @Option(name: .shortAndLong, help: "The folder of the checkpoint.")
    var output: String

    @Flag(help: "Write into a folder that is there and has something in it.")
    var force = false

    func run() throws {
        try CheckpointAssembly(
            stageA: URL(fileURLWithPath: stageA), stageB: URL(fileURLWithPath: stageB),
            stageC: URL(fileURLWithPath: stageC)
        ).write(to: URL(fileURLWithPath: output), replaces: force)
    }
}
