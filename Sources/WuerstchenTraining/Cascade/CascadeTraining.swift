public import Foundation
internal import TensorCore
public import Wuerstchen
internal import WuerstchenNN

/// The training of a whole cascade on a folder of captioned images: everything from a tokenizer to
/// a checkpoint in the published layout, in as much time as there is.
///
/// All of it is in one folder: a folder for each ``CascadePiece``, the tokenizer, the latents that
/// are computed once, `checkpoint` with what is trained so far, `report.html` with samples, and
/// `cascade.json` with the sizes and the plan. A training that was stopped goes on where it was,
/// bit-exactly.
public struct CascadeTraining: Sendable {
    /// The folder of the training.
    public let folder: URL
    /// The images, held-out ones set aside.
    public let images: ImageFolder
    /// The sizes of the networks.
    public let architecture: CascadeArchitecture
    /// What everything random depends on.
    public let seed: UInt64
    /// Splits captions into tokens.
    public let tokenizer: CLIPTokenizer
    /// Images cut out for Stage A.
    let crops: ImageFolder
    /// Seconds between looks at samples and validation images of a piece.
    public var lookInterval: Double = 180
    /// Seconds between checkpoints.
    public var checkpointInterval: Double = 120
    /// The most bytes of memory that the process may have: steps that need more are refused before
    /// anything is trained. Nil for no limit.
    public var memoryLimit: Int?
    /// The pieces that are trained.
    public let trained: Set<CascadePiece>
    /// The checkpoint that the pieces begin with; nil for none.
    let start: CascadeStart?
    /// What is kept in mind of the checkpoint; nil for nothing.
    let keep: KeptKnowledge?
    /// The images of that, once they are there.
    var kept: KeptFolders?
    private let batchSize: Int?
    private let rateFactor: Float
    private let precision: Precision
    /// What all pieces depend on, beside the networks.
    private let settings: TrainingSettings

    var pieces: TrainedPieces { TrainedPieces(in: folder, start: start) }

    /// How semantic latents relate to images.
    var latentSpace: SemanticLatentSpace { pieces.latentSpace }

    /// The words that the checkpoint's tokenizer did not have, in lower case; none without a
    /// checkpoint to begin with.
    public var newWords: [String] { start?.priorText.newWords ?? [] }

    /// What a cascade is trained with besides the images.
    public struct Options: Sendable {
        /// The sizes of the networks; those of ``start`` where there is one.
        public var architecture: CascadeArchitecture
        /// The folder of a checkpoint in the published layout, for fine-tuning: each piece begins
        /// with its weights, and learns at a tenth of its rate, or at ``rateFactor``. Text encoders
        /// and tokenizers are the checkpoint's, with the words of the captions that they do not
        /// know. Nil to begin from nothing.
        public var start: URL?
        /// The pieces to train; the others stay as they are in ``start``. Nil for all, but for the
        /// text encoder on captions alone where there is a checkpoint to begin with: its encoder
        /// learns with Stage C.
        public var pieces: Set<CascadePiece>?
        /// What is kept in mind of ``start`` while the images are learnt; nil for nothing.
        public var keep: KeptKnowledge?
        /// The folder of a tokenizer; nil for one that is learnt from the captions.
        public var tokenizer: URL?
        /// The share of the images that is not learnt from.
        public var heldOutShare = 0.05
        /// Whether the folders in the folder are looked into.
        public var includesSubfolders = false
        /// Whether the numbers in folders' names count; see `ImageFolderOptions`.
        public var countsRepeats = false
        /// How captions are read that are lists of tags; nil to take all captions as they are.
        public var tags: CaptionTags?
        /// What everything random depends on.
        public var seed: UInt64 = 0
        /// The numbers that networks multiply.
        public var precision = Precision.bfloat16
        /// Images of a step in place of each piece's own, to need less memory or time.
        public var batchSize: Int?
        /// The share of each piece's learning rate to take, positive and up to 10; nil for a tenth
        /// where there is a checkpoint to begin with, and otherwise all of it.
        public var rateFactor: Float?

        /// Options with an architecture.
        public init(_ architecture: CascadeArchitecture = .small) {
            self.architecture = architecture
        }
    }

    /// A training that begins or goes on in a folder, which is made if it is not there. Nothing is
    /// trained yet.
    ///
    /// - Parameters:
    ///   - folder: The folder of the training.
    ///   - images: The folder of captioned images.
    ///   - options: What to train.
    ///   - report: Called with a sentence about each file that cannot be used; from any thread.
    /// - Throws: `WuerstchenError` when networks do not fit together or a checkpoint cannot be
    ///   fine-tuned, which lists everything at once; when the folder of images has no captions; or
    ///   when the training was begun with other images, sizes, settings or another checkpoint.
    public init(
        in folder: URL, images: URL, options: Options = Options(),
        report: @escaping @Sendable (String) -> Void = { _ in }
    ) throws {
        try options.requireRateFactor()
        let trained = try options.trained()
        var start = try options.start.map { try CascadeStart($0, for: trained) }
        var architecture = start?.architecture ?? options.architecture
        try architecture.validate()
        var choice = ImageFolderOptions(
            sizes: .buckets(AspectBuckets(side: architecture.side)),
            heldOutShare: options.heldOutShare, includesSubfolders: options.includesSubfolders,
            tags: options.tags, countsRepeats: options.countsRepeats, seed: options.seed)
        let found = try ImageFolder(images, options: choice, report: report)
        try found.summary().requireCaptions()
        choice.sizes = .crops(side: architecture.crop, shorterSide: architecture.side)
        (choice.crop, choice.readsCaptions, choice.tags) = (.random, false, nil)
        crops = try ImageFolder(images, options: choice)
        let pieces = TrainedPieces(in: folder, start: start)
        let record = try CascadeRecord.read(in: folder)
        if record == nil { try requireNothingForeign(in: folder) }
        try record?.requireStart(start, trained, in: folder)
        if start != nil {
            let captions = found.allCaptions
            try makeFolder(folder)
            try start?.priorText.learn(captions, in: pieces.tokenizer)
            try start?.decoderText.learn(captions, in: pieces.decoderTokenizer)
        }
        if let start {
            tokenizer = start.priorText.tokenizer
            architecture.text = start.priorText.configuration
            architecture.decoderText = start.decoderText.configuration
        } else {
            tokenizer = try Self.tokenizer(
                in: pieces, from: options.tokenizer, captions: found.allCaptions)
            architecture.text.positions = tokenizer.length
            architecture.text.vocabularySize = tokenizer.vocabularySize
        }
        if let record {
            architecture.stageA.latentScale = record.architecture.stageA.latentScale
            guard record.architecture == architecture, record.seed == options.seed else {
                throw WuerstchenError(
                    .invalidRequest,
                    "\(folder.path) was begun with other sizes, another tokenizer or another seed "
                        + "(\(record.seed)); go on as it was begun, or choose another folder")
            }
        }
        settings = try options.settings(of: found)
        try record?.require(settings, in: folder)
        (self.start, self.trained, keep) = (start, trained, options.keep)
        self.folder = folder
        self.images = found
        self.architecture = architecture
        (seed, precision, batchSize) = (options.seed, options.precision, options.batchSize)
        rateFactor = options.usedRateFactor
    }

    /// Whether a training was begun in a folder, or planned.
    public static func isBegun(in folder: URL) -> Bool { CascadeRecord.isThere(in: folder) }

    /// The tokenizer of a training: the one that it has, a given one, or one learnt from captions.
    private static func tokenizer(
        in pieces: TrainedPieces, from given: URL?, captions: [String]
    ) throws -> CLIPTokenizer {
        let files = FileManager.default
        if !files.fileExists(atPath: pieces.tokenizer.path) {
            if let given {
                _ = try CLIPTokenizer(contentsOf: given)
                try copyFiles(of: given, to: pieces.tokenizer)
            } else {
                try CaptionTokenizer(captions: captions).write(to: pieces.tokenizer)
            }
        }
        return try CLIPTokenizer(contentsOf: pieces.tokenizer)
    }

    /// The settings of a piece with a number of steps.
    package func options(_ piece: CascadePiece, steps: Int) -> TrainingOptions {
        var result = piece.options(steps: steps, rateFactor: rateFactor)
        (result.seed, result.precision) = (seed, precision)
        result.checkpointInterval = checkpointInterval
        if let batchSize { result.batchSize = batchSize }
        if let part = architecture.microBatch, piece != .text {
            result.microBatches = max(1, result.batchSize / part)
            while result.batchSize % result.microBatches != 0 { result.microBatches -= 1 }
        }
        return result
    }

    /// The plan: as it was settled, or made from the speed of a few steps of each piece.
    ///
    /// - Parameters:
    ///   - limit: The seconds that there are in all; nil to take as many steps as the recipe does.
    ///     Another limit than before divides what is left of it among the pieces to come.
    ///   - now: What time it is.
    /// - Returns: The plan, which is kept in the folder.
    /// - Throws: `CancellationError`, and what reading images and writing files throw.
    public func plan(
        limit: Double?, now: () -> ContinuousClock.Instant = { .now }
    ) throws -> CascadeSchedule {
        try record(limit: limit, now: now).schedule
    }

    /// The record with the plan of ``plan(limit:now:)``.
    private func record(
        limit: Double?, now: () -> ContinuousClock.Instant
    ) throws -> CascadeRecord {
        var record: CascadeRecord
        if let found = try CascadeRecord.read(in: folder) {
            record = found
            if let limit, limit != record.schedule.limit { record.schedule.setLimit(limit) }
        } else {
            let start = now()
            let speeds = try CascadeSpeeds(of: self, now: now)
            record = CascadeRecord(
                architecture: architecture, seed: seed,
                schedule: CascadeSchedule(
                    limit: limit, pieces: speeds.secondsPerStep, other: speeds.other),
                start: try self.start.map(CascadeRecord.Start.init), settings: settings)
            for (piece, memory) in speeds.memory { record.schedule.note(memory: memory, of: piece) }
            record.schedule.add(otherSeconds: (now() - start).seconds)
            let before = try self.start.flatMap { try CheckpointCaptions(of: $0.checkpoint) }
            try CheckpointCaptions(of: images.allCaptions + (before?.captions ?? []))
                .write(in: folder)
        }
        try record.write(in: folder)
        return record
    }

    /// Trains what is not done, and leaves a checkpoint with a report and samples.
    ///
    /// - Parameters:
    ///   - progress: Where to report.
    ///   - now: What time it is.
    /// - Throws: `CancellationError` when the task is cancelled, after saving what there is, and
    ///   what ``TrainingRun/run(resumes:start:progress:)`` throws.
    public func run(
        progress: inout TrainingProgress, now: () -> ContinuousClock.Instant = { .now }
    ) throws {
        let lock = try FolderLock(folder)
        defer { withExtendedLifetime(lock) {} }
        var record = try record(limit: nil, now: now)
        let start = now()
        var training = self
        training.kept = try keptFolders(&progress)
        record.schedule.add(otherSeconds: (now() - start).seconds)
        try training.train(&record, &progress, now)
        try export()
        try CascadeReport(self, record).write()
    }

    /// Trains the pieces that are not done.
    private func train(
        _ record: inout CascadeRecord, _ progress: inout TrainingProgress,
        _ now: () -> ContinuousClock.Instant
    ) throws {
        for piece in record.schedule.pieces where record.schedule.entries[piece]?.isDone != true {
            let steps = record.schedule.begin(piece)
            try record.write(in: folder)
            var start = now()
            let prepared = try prepare(piece, record, &progress)
            record.schedule.add(otherSeconds: (now() - start).seconds)
            start = now()
            progress.note(
                "\(piece.title): \(steps) steps"
                    + (record.schedule.seconds(of: piece).map {
                        ", about \(Duration.seconds($0).readable)"
                    } ?? ""))
            do {
                try prepared(options(piece, steps: steps), &progress)
            } catch {
                record.schedule.add(seconds: (now() - start).seconds, to: piece)
                try? record.write(in: folder)
                throw error
            }
            record.schedule.add(seconds: (now() - start).seconds, to: piece)
            if piece == .stageA, self.start == nil {
                record.architecture.stageA.latentScale = try measuredStageA().configuration
                    .latentScale
            }
            record.schedule.finish(piece)
            try record.write(in: folder)
        }
    }

    /// Where the checkpoint is kept that a training leaves.
    public var checkpoint: URL { folder.appendingPathComponent("checkpoint") }

    private func export() throws { try Self.export(folder, to: checkpoint) }

    /// Writes what is trained so far as a checkpoint in the published layout. The images need not
    /// be there any more.
    ///
    /// - Parameters:
    ///   - folder: The folder of the training.
    ///   - target: The folder of the checkpoint.
    /// - Throws: `WuerstchenError` when there is no such training, when a piece has not begun and
    ///   there is no checkpoint that the training began with, or when files cannot be written.
    public static func export(_ folder: URL, to target: URL) throws {
        guard let record = try CascadeRecord.read(in: folder) else {
            throw WuerstchenError(
                .fileNotFound,
                "\(folder.path) holds no training of a cascade (cascade.json); give the folder that "
                    + "`train cascade` was begun in")
        }
        let pieces = TrainedPieces(
            in: folder, start: try record.opened(in: TrainedPieces(in: folder, start: nil)))
        let missing = record.schedule.pieces.filter { !pieces.isBegun($0) }
        guard missing.isEmpty || pieces.start != nil else {
            throw WuerstchenError(
                .fileNotFound,
                "\(folder.path): \(missing.map(\.title).formatted(.list(type: .and))) not begun yet; a "
                    + "checkpoint takes all pieces, so go on with the training first")
        }
        try pieces.export(record.architecture, to: target)
        try CheckpointCaptions(of: folder)?.write(in: target)
    }
}
