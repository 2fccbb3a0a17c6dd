import ArgumentParser
import Foundation
import Wuerstchen

@main struct Benchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "benchmark",
        abstract: "Time the published networks with random weights, for a picture of 1024×1024.",
        discussion: """
            One forward pass of each stage, batch 1, beside the rate of plain matrix products in the \
            same run. No checkpoint is needed; the weights are made in memory (up to 4.3 GB).
            """)

    enum Part: String, ExpressibleByArgument, CaseIterable {
        case products, stageC = "stage-c", stageB = "stage-b", stageA = "stage-a", text
    }

    @Argument(help: "Which parts to time. (default: all)")
    var parts: [Part] = []

    @Option(help: "How often each is timed, after one run that is not counted.")
    var runs = 3

    @Option(help: "Threads. (default: one for each processor)")
    var threads: Int?

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
        let blas = try BLAS.load()
        var table = ResultTable(
            asJSON: json, runs: runs, blasCore: blas.coreName,
            kernels: KernelLevel.active.rawValue, threads: Threads.count)
        let chosen = parts.isEmpty ? Part.allCases : parts
        // The yardstick, always first: what the matrix products alone reach.
        table.productRate = try measureProducts(&table)
        for part in chosen {
            switch part {
            case .products: break
            case .stageC: try measureStageC(&table)
            case .stageB: try measureStageB(&table)
            case .stageA: try measureStageA(&table)
            case .text: try measureText(&table)
            }
        }
    }

    /// Products at the shapes that take most of the time; the rate is that of the fastest.
    private func measureProducts(_ table: inout ResultTable) throws -> Double {
        let shapes = [
            ("Stage C, to 4 × width", 576, 6144, 1536),
            ("Stage C, from 4 × width", 576, 1536, 6144),
            ("Stage B level 0", 16384, 1280, 320), ("Stage B level 2", 1024, 5120, 1280),
            ("Stage A", 65536, 1536, 384),
        ]
        var best = 0.0
        for (name, rows, outputs, depth) in shapes {
            let x = random("x", [1, rows, depth])
            let weight = random("w", [outputs, depth])
            let flops = 2 * Double(rows) * Double(outputs) * Double(depth)
            best = max(
                best, try table.measure("product, \(name)", flops: flops) { _ = x.linear(weight) })
        }
        return best
    }

    private func measureStageC(_ table: inout ResultTable) throws {
        let stage = try StageC(configuration: .init(), parameters: RandomParameters(seed: 1))
        let x = random("x", [1, 24, 24, 16])
        let conditioning = stage.prepare(text: random("text", [1, 77, 1280]))
        try table.measure("Stage C, one forward", flops: 1.154e12) {
            _ = try stage.predictNoise(x, times: [0.5], conditioning: conditioning)
        }
    }

    private func measureStageB(_ table: inout ResultTable) throws {
        let stage = try StageB(configuration: .init(), parameters: RandomParameters(seed: 2))
        let x = random("x", [1, 256, 256, 4])
        let conditioning = try stage.prepare(
            semantic: random("semantic", [1, 24, 24, 16]), text: random("text", [1, 77, 1024]))
        try table.measure("Stage B, one forward", flops: 2.858e12) {
            _ = try stage.predictNoise(x, times: [0.5], conditioning: conditioning)
        }
    }

    private func measureStageA(_ table: inout ResultTable) throws {
        let stage = try StageA(configuration: .init(), parameters: RandomParameters(seed: 3))
        let latent = random("latent", [1, 256, 256, 4])
        try table.measure("Stage A, decode", flops: 2.172e12) {
            _ = try stage.decode(unscaled: latent)
        }
    }

    private func measureText(_ table: inout ResultTable) throws {
        for (name, configuration, flops) in [
            ("bigG", CLIPTextModel.Configuration.bigG, 98e9), ("ViT-H", .huge, 47e9),
        ] {
            let model = try CLIPTextModel(
                configuration: configuration, parameters: RandomParameters(seed: 4))
            let ids = [Array(0..<77)]
            let mask = [[Bool](repeating: true, count: 77)]
            try table.measure("text encoder \(name), 77 tokens", flops: flops) {
                _ = try model(ids: ids, mask: mask)
            }
        }
    }

    private func random(_ name: String, _ shape: Shape) -> Tensor {
        switch RandomParameters(seed: 5).parameter(named: name, expecting: shape) {
        case .found(let tensor): tensor
        case .misshapen, .missing: Tensor(repeating: 0.5, shape)
        }
    }
}
