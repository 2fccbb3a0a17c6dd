import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen
import WuerstchenScenes
import WuerstchenTraining

@main struct Evaluate: Command {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract:
            "Measure how well a cascade draws what it was not trained on: scenes, or a folder.",
        discussion: """
            Every part is put before a probe that reads images back: renders themselves, Stage A, \
            compressor and preview, compressor and Stages B and A, and text. The table says how many \
            of the attributes are right, the Fréchet distance to true images (FD), the likeness \
            (PSNR), how sharp edges and fine structure are beside true images' (1 is as sharp), and \
            the sliced Wasserstein distance of patches (SWD) at 256, 128, 64 and 32 pixels; two sets \
            of true images are some 20 apart.

            With --images the held-out images of a folder take the place of scenes. No probe knows \
            what they show: FD is then in the features of the checkpoint's own compressor, and \
            "captions" is how often a linear map learnt from the folder finds an image's own caption \
            among all. The row of images is other images of the folder: nothing comes below it.

            A checkpoint needs its compressor.safetensors, beside the published folders.
            """)

    @OptionGroup var cascade: CascadeArguments

    @OptionGroup var folder: TrainingFolderArguments

    @Flag(help: "Measure a checkpoint of your own on drawn scenes.")
    var scenes = false

    @Option(help: "The probe's weights. (default: the probe that ships in the package)")
    var probe: String?

    @Option(help: "Images for each row; of a folder, at most those that are held out.")
    var count = 500

    @Option(help: "True images that the Fréchet distance is to; never fewer than those of a row.")
    var references = 1000

    @Option(help: "Rows to measure: renders, A, preview, decoder, text-preview, text.")
    var only: [Row] = Row.allCases

    @Option(help: "Steps of Stage C. (default: what it was made for)")
    var stageCSteps: Int?

    @Option(help: "Guidance of Stage C. (default: what it was made for)")
    var stageCGuidance: Float?

    @Option(
        help: "How Stage C samples: ddpm, ddim, euler, heun, dpmpp-2m. (default: as it was made)")
    var stageCMethod: SamplingMethod?

    @Option(help: "Steps of Stage B. (default: what it was made for)")
    var stageBSteps: Int?

    @Option(
        help: "How Stage B samples: ddpm, ddim, euler, heun, dpmpp-2m. (default: as it was made)")
    var stageBMethod: SamplingMethod?

    @Option(
        help:
            "Rounds, each with its own seeds; of several, means and deviations are printed."
    )
    var rounds = 1

    @Option(help: "The numbers that the networks compute with.")
    var precision = Precision.float32

    @Option(help: "Scenes and noise depend on it.")
    var seed: UInt64 = 5000

    @Option(
        help: "Write the first images of each row here: a .png of images, or a .html with captions."
    )
    var sheet: String?

    @Option(help: "Write every image of each row here: FOLDER/ROW/00000.png and so on.")
    var export: String?

    @Option(
        help: """
            Keep what is made in a folder: a later run goes on there, and several processes share the \
            work (under mpirun or srun, or with RANK and WORLD_SIZE set), of which the last to be \
            done prints the table. An image of 256×256 takes 0.8 MB.
            """)
    var keep: String?

    @OptionGroup var replacement: ReplacementArguments

    enum Row: String, ExpressibleByArgument, CaseIterable {
        case renders
        case stageA = "A"
        case preview, decoder
        case textPreview = "text-preview"
        case text

        var gate: CascadeGates.Gate {
            switch self {
            case .renders: .images
            case .stageA: .stageA
            case .preview: .preview
            case .decoder: .decoder
            case .textPreview: .textPreview
            case .text: .text
            }
        }
    }

    func validate() throws {
        try cascade.checkpoint.requireData(images: folder.images, scenes: scenes)
        guard folder.images == nil || rounds == 1 && probe == nil else {
            throw ValidationError("--rounds and --probe are for drawn scenes")
        }
        guard (2...100_000).contains(count) else {
            throw ValidationError("--count must be 2 to 100000")
        }
        guard (1...100_000).contains(references) else {
            throw ValidationError("--references must be 1 to 100000")
        }
        guard (1...1000).contains(rounds) else {
            throw ValidationError("--rounds must be 1 to 1000")
        }
    }

    func run() throws {
        let sheet = try replacement.sheet(sheet)
        if let export { try makeWritable(URL(fileURLWithPath: export)) }
        try replacement.check(exported())
        let checkpoint = try cascade.checkpoint.folder()
        let cascade = try cascade.cascade(
            precision: precision, stageCSteps: stageCSteps, stageBSteps: stageBSteps)
        var gates = CascadeGates(
            cascade: cascade,
            compressor: try SemanticCompressor(
                contentsOf: checkpoint.appendingPathComponent(
                    CheckpointLayout.published.compressor),
                latentSpace: cascade.latentSpace))
        gates.stageC = try cascade.stageCSampling(
            steps: stageCSteps, guidance: stageCGuidance, method: stageCMethod)
        gates.stageB = try cascade.stageBSampling(
            steps: stageBSteps, method: stageBMethod)
        let process = try process()
        guard folder.images == nil else { return try measureFolder(gates, process, sheet: sheet) }
        var evaluation = CascadeEvaluation(
            gates,
            probe: try probe.map { try SceneProbe(contentsOf: URL(fileURLWithPath: $0)) }
                ?? .shipped(),
            seed: seed)
        // Few images are not rounded up to a batch of the usual size.
        evaluation.batchSize = min(evaluation.batchSize, count)
        // Every round has scenes of its own, and others that they are compared with.
        let evaluations = try (0..<rounds).map { round in
            var result = evaluation
            result.images.seed = seed &+ 2 * UInt64(round)
            let scenes = "scenes \(result.images.seed), \(evaluation.batchSize) at a time"
            result.gates.kept = try kept("scenes-\(result.images.seed)", gates, of: scenes)
            return result
        }
        let leave = try share(
            process,
            make: { row, progress in
                for evaluation in evaluations {
                    try evaluation.make(row.gate, count: count, by: process, progress: progress)
                }
            },
            isMade: { row in evaluations.allSatisfy { $0.isMade(row.gate, count: count) } })
        guard let leave else { return }
        defer { withExtendedLifetime(leave) {} }
        let truths = try evaluations.map { try $0.truth(count: max(references, count)) }
        var drawn = ContactSheet(title: "evaluation", imageSide: 160, columns: 8)
        let line = StatusLine()
        printHeader()
        for row in only {
            let start = ContinuousClock.now
            var results: [SceneEvaluation] = []
            for (evaluation, truth) in zip(evaluations, truths) {
                results.append(
                    try evaluation.run(row.gate, count: count, against: truth) { done, images in
                        line.show("\(row.rawValue) \(done)")
                        try export(images, first: done - images.shape[0], row)
                    })
                line.show("")
            }
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            printRow(results, seconds: seconds / Double(count * rounds))
            if sheet != nil {
                let batch = evaluation.images.batch(0, count: 16)
                let made = try evaluation.gates.make(row.gate, batch, seed: 0)
                for first in [0, 8] {
                    try drawn.addRow(
                        row.rawValue,
                        made[first..<first + 8], captions: Array(batch.captions[first..<first + 8]))
                }
            }
        }
        if let sheet { try drawn.write(to: sheet) }
    }

    /// The images that are there already under names that are exported to.
    private func exported() -> [URL] {
        guard let export else { return [] }
        return only.flatMap { row in
            let folder = URL(fileURLWithPath: export).appendingPathComponent(row.rawValue)
            let names = try? FileManager.default.contentsOfDirectory(atPath: folder.path)
            return (names ?? []).filter { $0.hasSuffix(".png") && Int($0.dropLast(4)) != nil }
                .map { folder.appendingPathComponent($0) }
        }
    }

    /// Writes images where that was asked for; those of a later round replace an earlier one's.
    func export(_ images: Tensor, first: Int, _ row: Row) throws {
        guard let export else { return }
        let folder = URL(fileURLWithPath: export).appendingPathComponent(row.rawValue)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for (number, image) in zip(first..., try Image.images(images)) {
            let digits = String(number)
            let name = String(repeating: "0", count: max(0, 5 - digits.count)) + digits + ".png"
            try image.write(
                to: folder.appendingPathComponent(name), text: [Image.software])
        }
    }

    private func printHeader() {
        let names = SceneAttribute.allCases.map { "\($0)" }
        let columns =
            ["s/image", "FD", "PSNR", "edges", "Laplacian", "SWD"]
            + ["256", "128", "64", "32"].map { "SWD-\($0)" } + ["mean", "all"] + names
        print(pad("images", 24) + columns.map { pad($0, width) }.joined())
    }

    /// Room for a mean, and for its spread where there is one.
    private var width: Int { rounds > 1 ? 13 : 10 }

    private func printRow(_ results: [SceneEvaluation], seconds: Double) {
        func cell(_ values: [Double?], _ factor: Double = 1, digits: Int = 1) -> String {
            let known = values.compactMap { $0.map { factor * $0 } }
            guard !known.isEmpty else { return "–" }
            let mean = known.reduce(0, +) / Double(known.count)
            guard rounds > 1 else { return mean.rounded(to: digits) }
            let squares = known.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
            let spread = (squares / Double(max(1, known.count - 1))).squareRoot()
            return "\(mean.rounded(to: digits)) ± \(spread.rounded(to: digits))"
        }
        let cells =
            [
                seconds.rounded(to: 4),
                cell(results.map(\.distance)), cell(results.map(\.signalToNoise)),
                cell(results.map(\.edges), digits: 2), cell(results.map(\.laplacian), digits: 2),
                cell(results.map { $0.patchDistances.reduce(0, +) / Double(ImageDetail.levels) }),
            ]
            + (0..<ImageDetail.levels).map { level in
                cell(results.map { $0.patchDistances[level] })
            } + [
                cell(results.map(\.mean), 100), cell(results.map(\.allRight), 100),
            ]
            + SceneAttribute.allCases.map { attribute in
                cell(results.map { $0.shares[attribute.rawValue] }, 100)
            }
        print(pad(results[0].name, 24) + cells.map { pad($0, width) }.joined())
    }

    func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }
}
