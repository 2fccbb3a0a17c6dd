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
            goes on where it was stopped, or with more.
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

    @Option(
        name: [.customLong("images"), .customLong("pictures")],
        help: """
            A folder of captions in .txt files, with PNGs of the same names for Stage B. (default: \
            drawn scenes)
            """)
    var images: String?

    @Flag(help: "Take drawn scenes, which only the small cascade does unasked.")
    var scenes = false

    @Option(
        help: """
            The compressor for Stage B. (default: compressor.safetensors in the checkpoint's folder)
            """)
    var compressor: String?

    @Option(help: "The side of the images. (default: what the checkpoint was trained at)")
    var side: Int?

    @Option(
        help: """
            Steps of Stage C, whose latents Stage B's couplings are made for. (default: what it was made \
            for)
            """)
    var stageCSteps: Int?

    @Option(help: "Pairs of a file.")
    var perFile = 256

    @Option(help: "Pairs that are made at a time.")
    var batch = 32

    func validate() throws {
        try teacher.run.checkpoint.requireData(images: images, scenes: scenes)
        guard (1...100_000_000).contains(count), (1...1000).contains(steps),
            (1...4096).contains(batch), (1...1_000_000).contains(perFile)
        else {
            throw ValidationError("--count, --steps, --per-file and --batch must be positive")
        }
        if let side, images == nil, side != SceneRenderer.side {
            throw ValidationError("drawn scenes have a side of \(SceneRenderer.side) pixels")
        }
    }

    func run() async throws {
        let command = self
        try await interruptible { try command.make() }
    }

    private func make() throws {
        let cascade = try teacher.run.cascade()
        let size = side.map { ImageSize(width: $0, height: $0) } ?? cascade.defaultSize
        let stage = try teacher.teacher(in: cascade, size: size)
        let isC = teacher.stage == .stageC
        let record = CouplingRecord(
            stage: stage.name, teacher: try weightsFingerprint(of: teacher.folders().teacher),
            seed: compute.seed, guidance: guidance ?? stage.guidance,
            captionDropout: captionDropout ?? stage.captionDropout,
            conditions: CouplingRecord.Conditions(
                source: images ?? "drawn scenes", size: size,
                semantics: isC ? nil : try semanticsRecord()),
            solver: CouplingRecord.Solver(method, steps: steps, precision: compute.precision),
            shardSize: perFile)
        let conditions: any ConditionSource =
            if isC { try captions() } else { try semantics(cascade, size) }
        var generator = PairGenerator(record, conditions: conditions, teacher: stage)
        generator.batchSize = batch
        let start = ContinuousClock.now
        var (first, shown) = (-1, ContinuousClock.now)
        let refused = try generator.make(count, in: URL(fileURLWithPath: output)) { done in
            if first < 0 { first = done }
            guard ContinuousClock.now - shown > .seconds(10) else { return }
            shown = .now
            let seconds = max(1e-9, (ContinuousClock.now - start) / .seconds(1))
            let rate = (Double(done - first) / seconds).rounded(to: 1)
            note("\(done) of \(count) couplings, \(rate) a second")
        }
        note("\(count) couplings in \(output), \(refused) refused")
    }

    /// Where Stage B's semantic latents are from.
    private func semanticsRecord() throws -> CouplingRecord.Semantics {
        CouplingRecord.Semantics(
            compressor: try weightsFingerprint(ofFile: compressorFile()),
            stageC: try weightsFingerprint(of: teacher.folders(of: .stageC).teacher),
            steps: stageCSteps)
    }

    private func compressorFile() throws -> URL {
        try compressor.map { URL(fileURLWithPath: $0) }
            ?? teacher.run.checkpoint.folder().appendingPathComponent(
                CheckpointLayout.published.compressor)
    }

    private var compute: ComputeArguments { teacher.run.compute }

    private func captions() throws -> CaptionConditions {
        guard let images else {
            return CaptionConditions(of: SceneImages(seed: compute.seed &+ 1))
        }
        let files = try FileManager.default.contentsOfDirectory(
            at: URL(fileURLWithPath: images), includingPropertiesForKeys: nil
        ).filter { $0.pathExtension == "txt" }.sorted { $0.path < $1.path }
        return try CaptionConditions(
            files.map {
                try String(contentsOf: $0, encoding: .utf8)
                    .trimmingCharacters(in: .whitespacesAndNewlines)
            })
    }

    private func semantics(_ cascade: Cascade, _ size: ImageSize) throws -> SemanticConditions {
        let source: any ImageSource
        if let images {
            source = try ImageFolder(
                URL(fileURLWithPath: images),
                options: ImageFolderOptions(
                    sizes: .buckets(AspectBuckets(side: size.width, maximumRatio: 1)),
                    seed: compute.seed)
            ) { note("\($0)") }
        } else {
            source = SceneImages(seed: compute.seed &+ 1)
        }
        var conditions = SemanticConditions(
            source,
            compressor: try SemanticCompressor(
                contentsOf: compressorFile(), latentSpace: cascade.latentSpace),
            textEncoder: try cascade.textEncoder(), stageC: try cascade.stageC(),
            grid: try cascade.grid(for: size))
        conditions.seed = compute.seed
        conditions.sampling = try cascade.stageCSampling(steps: stageCSteps)
        return conditions
    }
}
