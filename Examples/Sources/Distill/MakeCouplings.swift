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
    var method = FlowMethod.heun

    @Option(
        help: """
            A folder of captions in .txt files, with PNGs of the same names for Stage B. (default: \
            drawn scenes)
            """)
    var images: String?

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
    var priorSteps: Int?

    @Option(help: "Pairs of a file.")
    var perFile = 256

    @Option(help: "Pairs that are made at a time.")
    var batch = 32

    func validate() throws {
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
        let cascade = try teacher.cascade()
        let decoder = try cascade.diffusionDecoder()
        let (stageC, stageB) = (try cascade.stageC(), try decoder.stageB())
        let size = side.map { ImageSize(width: $0, height: $0) } ?? cascade.defaultSize
        let grid = try cascade.grid(for: size)
        let isC = teacher.stage == .stageC
        let flow = isC ? stageC.configuration.flow : stageB.configuration.flow
        try requireManySteps(flow)
        let timesteps = try (isC ? stageC.flowMap : stageB.flowMap).timesteps(count: steps)
        let standardGuidance: Float = isC && flow == nil ? 4 : 1
        let record = CouplingRecord(
            stage: teacher.stage.rawValue,
            teacher: try weightsFingerprint(of: teacher.stageFolder()),
            seed: teacher.seed, guidance: guidance ?? standardGuidance,
            captionDropout: captionDropout ?? (isC ? 0.1 : 0),
            conditions: try conditionsRecord(size, isC: isC),
            solver: "\(method), \(steps) steps, \(teacher.precision.rawValue)", shardSize: perFile)
        var maker: PairGenerator
        if isC {
            let encoder = try cascade.textEncoder()
            maker = PairGenerator(
                record, conditions: try captions(),
                latentShape: (grid.rows, grid.columns, stageC.configuration.latentChannels),
                solver: .fixed(timesteps, method)
            ) { try $0.field(of: stageC, encoder, guidance: $1) }
        } else {
            let (encoder, space) = (try decoder.textEncoder(), cascade.latentSpace)
            guard let rows = stageB.latentSide(forSemanticSide: grid.rows),
                let columns = stageB.latentSide(forSemanticSide: grid.columns)
            else { throw ValidationError("Stage B cannot make images of \(size)") }
            maker = PairGenerator(
                record, conditions: try semantics(cascade, size),
                latentShape: (rows, columns, stageB.configuration.latentChannels),
                solver: .fixed(timesteps, method)
            ) { try $0.field(of: stageB, encoder, space: space, guidance: $1) }
        }
        maker.batchSize = batch
        let start = ContinuousClock.now
        var (first, shown) = (-1, ContinuousClock.now)
        let refused = try maker.make(count, in: URL(fileURLWithPath: output)) { done in
            if first < 0 { first = done }
            guard ContinuousClock.now - shown > .seconds(10) else { return }
            shown = .now
            let rate = Double(done - first) / (ContinuousClock.now - start).inSeconds
            note("\(done) of \(count) couplings, \(rate.rounded(to: 1)) a second")
        }
        note("\(count) couplings in \(output), \(refused) refused")
    }

    /// What the couplings depend on besides teacher and solver.
    private func conditionsRecord(_ size: ImageSize, isC: Bool) throws -> String {
        var parts = [images.map { "captions in \($0)" } ?? "drawn scenes", "\(size)"]
        if !isC {
            let prior = try weightsFingerprint(of: teacher.stageFolder(of: .stageC))
            parts.append("Stage C \(prior)")
            parts.append(priorSteps.map { "\($0) steps" } ?? "as it was made")
            parts.append(compressor ?? "the checkpoint's compressor")
        }
        return parts.joined(separator: ", ")
    }

    private func captions() throws -> CaptionConditions {
        guard let images else {
            return CaptionConditions(of: SceneImages(seed: teacher.seed &+ 1))
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
        let file =
            try compressor.map { URL(fileURLWithPath: $0) }
            ?? teacher.checkpoint.folder().appendingPathComponent(
                CheckpointLayout.published.compressor)
        let source: any ImageSource
        if let images {
            source = try ImageFolder(
                URL(fileURLWithPath: images),
                options: ImageFolderOptions(
                    sizes: .buckets(AspectBuckets(side: size.width, maximumRatio: 1)),
                    seed: teacher.seed)
            ) { note("\($0)") }
        } else {
            source = SceneImages(seed: teacher.seed &+ 1)
        }
        var conditions = SemanticConditions(
            source,
            compressor: try SemanticCompressor(
                contentsOf: file, latentSpace: cascade.latentSpace),
            textEncoder: try cascade.textEncoder(), stageC: try cascade.stageC(),
            grid: try cascade.grid(for: size))
        conditions.seed = teacher.seed
        conditions.sampling = try cascade.priorSampling(steps: priorSteps)
        return conditions
    }
}

/// A student of a few steps is no flow any more that could be followed in others.
func requireManySteps(_ flow: FlowConfiguration?) throws {
    guard let limits = flow?.limits else { return }
    throw ValidationError("this stage was distilled to \(limits); take its teacher")
}

func note(_ text: String) {
    FileHandle.standardError.write(Data("\(text)\n".utf8))
}

extension Duration {
    var inSeconds: Double { max(1e-9, self / .seconds(1)) }
}
