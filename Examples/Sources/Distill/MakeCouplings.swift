import ArgumentParser
import ExampleSupport
import Foundation
import TensorCore
import Wuerstchen
import WuerstchenScenes
import WuerstchenTraining

struct MakeCouplings: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "couplings",
        abstract: "Let a teacher make pairs of noise and latents.",
        discussion: """
            Pairs are written in files of some hundred; those that are there are kept, so that making \
            goes on where it was stopped, or with more. Under mpirun or srun, or with RANK and \
            WORLD_SIZE set, each process makes its share of the files.
            """)

    @Argument(help: "The folder of the couplings; it is made if it is not there.")
    var output: String

    @OptionGroup var teacher: TeacherArguments

    @Option(help: "How many pairs.")
    var count = 8192

    @Option(
        help: """
            Guidance. (default: 4 for a Stage C that was not distilled yet, none for others, which have \
            their teacher's in them)
            """)
    var guidance: Float?

    @Option(help: "The share of pairs without caption and guidance. (default: 0.1 for Stage C, 0)")
    var captionDropout: Float?

    @Option(help: "Steps of the solver, equal in the flow's time.")
    var steps = 12

    @Option(help: "The solver: euler, or heun, which computes twice in each step.")
    var method = FlowSolver.heun

    @OptionGroup var folder: ImageArguments

    @Flag(help: "Make Stage B's couplings without text: captions of the folder are not read.")
    var noCaptions = false

    @Flag(help: "Use drawn scenes; the default for the small cascade only.")
    var scenes = false

    @OptionGroup var semantics: SemanticsArguments

    @Option(help: "The side of the images. (default: what the checkpoint was trained at)")
    var side: Int?

    @Option(help: "Pairs of a file.")
    var perFile = 256

    @Option(help: "Pairs that are made at a time.")
    var batch = 32

    func validate() throws {
        try teacher.run.checkpoint.requireData(images: folder.images, scenes: scenes)
        guard (1...100_000_000).contains(count), (1...1000).contains(steps),
            (1...4096).contains(batch), (1...1_000_000).contains(perFile)
        else {
            throw ValidationError(
                "--count must be 1 to 100000000, --steps 1 to 1000, --batch 1 to 4096 and "
                    + "--per-file 1 to 1000000")
        }
        if let side, folder.images == nil, side != SceneRenderer.side {
            throw ValidationError("drawn scenes have a side of \(SceneRenderer.side) pixels")
        }
        guard !noCaptions || (folder.images != nil && teacher.stage.type.takesSemantics) else {
            throw ValidationError("--no-captions is for Stage B and --images")
        }
    }

    func run() async throws {
        let command = self
        try await interruptible(by: .separately) { try command.make() }
    }

    private func make() throws {
        let cascade = try teacher.run.cascade()
        let size = side.map { ImageSize(width: $0, height: $0) } ?? cascade.defaultSize
        let stage = try CouplingTeacher(teacher.stage.type, of: cascade, size: size)
        let (noted, conditions) = try conditions(cascade, size)
        let record = CouplingRecord(
            stage: stage.name,
            teacher: try weightsFingerprint(of: teacher.folders(of: teacher.stage.type).teacher),
            seed: compute.seed, guidance: guidance ?? stage.guidance,
            captionDropout: captionDropout ?? stage.captionDropout, conditions: noted,
            solver: CouplingRecord.Solver(method, steps: steps, precision: compute.precision),
            shardSize: perFile)
        var generator = PairGenerator(record, conditions: conditions, teacher: stage)
        generator.batchSize = batch
        generator.process = try ProcessRank()
        let start = ContinuousClock.now
        var (first, shown) = (-1, ContinuousClock.now)
        let refused = try generator.make(count, in: URL(fileURLWithPath: output)) { done in
            if first < 0 { first = done }
            guard ContinuousClock.now - shown > .seconds(10) else { return }
            shown = .now
            let seconds = max(1e-9, (ContinuousClock.now - start) / .seconds(1))
            let rate = (Double(done - first) / seconds).rounded(to: 1)
            StatusLine().note("\(done) of \(count) couplings, \(rate) a second")
        }
        let process = generator.process
        let whose = process.count > 1 ? "of those of \(process) " : ""
        StatusLine().note("\(count) couplings in \(output), \(whose)\(refused) refused")
    }

    private var compute: ComputeArguments { teacher.run.compute }

    /// What couplings are made for, and how that is noted beside them.
    private func conditions(
        _ cascade: Cascade, _ size: ImageSize
    ) throws -> (CouplingRecord.Conditions, any ConditionSource) {
        typealias Record = CouplingRecord.Conditions
        let scenes = SceneImages(seed: compute.seed &+ 1)
        guard teacher.stage.type.takesSemantics else {
            guard let captions = try folder.captions() else {
                return (Record(source: "drawn scenes", size: size), CaptionConditions(of: scenes))
            }
            let summary = try captions.summary(tokenizer: cascade.textEncoder().tokenizer)
            StatusLine().note("\(summary)")
            try summary.requireCaptions()
            return (Record(captions, size: size), CaptionConditions(captions))
        }
        let (images, record) = (try images(cascade, size), try semantics.record(teacher))
        return (
            images.map { Record($0, size: size, semantics: record) }
                ?? Record(source: "drawn scenes", size: size, semantics: record),
            try semantics.conditions(images ?? scenes, cascade, size, teacher)
        )
    }

    /// The folder of images, described; nil for drawn scenes.
    private func images(_ cascade: Cascade, _ size: ImageSize) throws -> ImageFolder? {
        let options = ImageFolderOptions(
            sizes: .buckets(AspectBuckets(side: size.width, maximumRatio: 1)),
            readsCaptions: !noCaptions, seed: compute.seed)
        guard let folder = try folder.folder(options) else { return nil }
        let summary = try folder.summary(tokenizer: cascade.textEncoder().tokenizer)
        StatusLine().note("\(summary)")
        try summary.requireCaptions(isTextOptional: true)
        return folder
    }
}
