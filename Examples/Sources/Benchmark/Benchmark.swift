import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen

@main struct Benchmark: Command {
    static let configuration = CommandConfiguration(
        commandName: "benchmark",
        abstract: "Time the published networks with random weights, for an image of 1024×1024.",
        discussion: """
            Every row stands beside the rate that OpenBLAS's sgemm reaches in the same run. No \
            checkpoint is needed: the weights are made in memory, up to 4.3 GB at a time. The last \
            six parts take minutes and are only done when they are named.
            """)

    enum Part: String, ExpressibleByArgument, CaseIterable {
        case products, operations
        case stageC = "stage-c"
        case stageB = "stage-b"
        case stageA = "stage-a"
        case text, loading, lora, training
        case publishedTraining = "published-training"
        case miniature, cascade, scaling, tiles, quality
    }

    @Argument(
        help: """
            What to time. products: matrices alone. operations: what the networks are made of. \
            stage-c, stage-b, stage-a: one forward pass. text: the text encoders. loading: from \
            weights in memory to networks. lora: a forward pass with adapters merged and beside the \
            weights. training: a step at the sizes of the miniature, and gradients through frozen weights. \
            published-training: 20 steps at the published widths, with few blocks, and those of \
            distillation. miniature: images of the small cascade, by all steps and by its students. \
            cascade: a whole image, 60 and 12 steps. scaling: \
            stages against image size, batch and threads. quality: how far lower precisions are \
            from float32. tiles: Stage A on images up to 4096×4096, in tiles and at once, which takes \
            12 GB. (default: all but the last six)
            """)
    var parts: [Part] = []

    @Option(help: "The numbers that the networks compute with; may be given several times.")
    var precision: [Precision] = Precision.allCases

    @Option(help: "How often each is timed, after one run that is not counted.")
    var runs = 3

    @Option(help: "Threads. (default: one for each processor)")
    var threads: Int?

    @Option(help: "For quality: a published or trained checkpoint in place of random weights.")
    var checkpoint: String?

    @Flag(help: "One JSON line for each row instead of a table.")
    var json = false

    func run() throws {
        guard (1...1000).contains(runs) else { throw ValidationError("--runs must be 1 to 1000") }
        if let threads {
            guard (1...1024).contains(threads) else {
                throw ValidationError("--threads must be 1 to 1024")
            }
            Threads.count = threads
        }
        var table = ResultTable(asJSON: json, runs: runs, blas: try BLAS.load())
        let chosen =
            parts.isEmpty
            ? Part.allCases.filter {
                ![
                    .publishedTraining, .miniature, .cascade, .scaling, .tiles, .quality,
                ].contains($0)
            } : parts
        // The yardstick, always first: what sgemm alone reaches.
        try ProductBenchmark.measureYardstick(&table)
        for part in chosen {
            if part == .quality {
                try QualityReport(checkpoint: checkpoint).run(precision, &table)
                continue
            }
            for precision in precision {
                switch part {
                case .products: try ProductBenchmark.run(precision, &table)
                case .operations: try OperationBenchmark.run(precision, &table)
                case .stageC, .stageB, .stageA:
                    try StageBenchmark(part, precision).measure(&table)
                case .text: try TextBenchmark.run(precision, &table)
                case .loading: try LoadingBenchmark.run(precision, &table)
                case .lora: try LoRABenchmark.run(precision, &table)
                case .training: try TrainingBenchmark.run(precision, &table)
                case .publishedTraining:
                    try TrainingBenchmark.runPublished(precision, &table)
                case .miniature: try MiniatureBenchmark.run(precision, &table)
                case .cascade: try CascadeBenchmark.run(precision, &table)
                case .scaling: try ScalingBenchmark.run(precision, &table)
                case .tiles: try TileBenchmark.run(precision, &table)
                case .quality: break
                }
            }
        }
    }
}

/// A random tensor of a name's own, uniform, in the scale of a network's features.
func random(_ name: String, _ shape: Shape) -> Tensor {
    switch RandomParameters(seed: 5).parameter(ParameterRequest(name, shape)) {
    case .found(let tensor): tensor
    case .misshapen, .missing: Tensor(repeating: 0.5, shape)
    }
}
