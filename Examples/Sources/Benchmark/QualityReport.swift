import Foundation
import Wuerstchen

/// How far the results of lower precisions are from those of float32: of each network for one pass,
/// and of the image at the end.
struct QualityReport {
    /// The checkpoint's folder, or nil for random weights at the published sizes.
    let checkpoint: URL?

    init(checkpoint: String?) {
        self.checkpoint = checkpoint.map { URL(fileURLWithPath: $0) }
    }

    func run(_ precisions: [Precision], _ table: inout ResultTable) throws {
        let lower = precisions.filter { $0 != .float32 }
        let networks: [(String, (Precision) throws -> Tensor)] = [
            ("text encoder of Stage C", textC), ("text encoder of Stage B", textB),
            ("Stage C, one forward", stageC), ("Stage B, one forward", stageB),
            ("Stage A, decode", stageA),
        ]
        for (name, result) in networks {
            let exact = try result(.float32)
            for precision in lower {
                table.report(
                    name, precision, "signal to noise",
                    decibels(exact, try result(precision), signal: meanSquare(exact)))
            }
        }
        let name = checkpoint == nil ? "an image, 4 and 4 steps" : "an image"
        let exact = try image(.float32)
        for precision in lower {
            // Pixels are 0…1, so that the largest signal is 1.
            let other = try image(precision)
            table.report(
                name, precision, "peak signal to noise", decibels(exact, other, signal: 1))
        }
    }

    private func meanSquare(_ x: Tensor) -> Double {
        x.elements.reduce(0) { $0 + Double($1) * Double($1) } / Double(x.count)
    }

    private func decibels(_ exact: Tensor, _ other: Tensor, signal: Double) -> Double {
        10 * log10(signal / meanSquare(other - exact))
    }

    private func prior(_ precision: Precision) throws -> CheckpointFolder? {
        try checkpoint.map {
            try CheckpointFolder(
                $0.appendingPathComponent("wuerstchen-prior"), precision: precision)
        }
    }

    private func main(_ precision: Precision) throws -> CheckpointFolder? {
        try checkpoint.map {
            try CheckpointFolder($0.appendingPathComponent("wuerstchen"), precision: precision)
        }
    }

    private func text<Stage>(
        _ folder: CheckpointFolder?, as stage: Stage.Type,
        _ configuration: CLIPTextModel.Configuration, _ precision: Precision
    ) throws -> Tensor {
        if let folder {
            let encoder: TextEncoder<Stage> = try folder.textEncoder()
            return try encoder.encode("a red house under a starry night sky", negative: nil).prompts
        }
        let model = try CLIPTextModel(
            configuration: configuration, parameters: RandomParameters(seed: 4),
            precision: precision)
        return try model(ids: [Array(0..<77)], mask: [[Bool](repeating: true, count: 77)])
    }

    private func textC(_ precision: Precision) throws -> Tensor {
        try text(prior(precision), as: StageC.self, .bigG, precision)
    }

    private func textB(_ precision: Precision) throws -> Tensor {
        try text(main(precision), as: StageB.self, .huge, precision)
    }

    private func stageC(_ precision: Precision) throws -> Tensor {
        try forward(prior(precision)?.stageC(space: SemanticLatentSpace()), precision)
    }

    private func stageB(_ precision: Precision) throws -> Tensor {
        try forward(main(precision)?.stageB(space: SemanticLatentSpace()), precision)
    }

    /// One pass of a checkpoint's stage, or of one with random weights.
    private func forward<Stage: BenchmarkedStage>(
        _ stage: Stage?, _ precision: Precision
    ) throws -> Tensor {
        try (stage ?? Stage.withRandomWeights(precision)).forward(side: 24, batch: 1)()
    }

    private func stageA(_ precision: Precision) throws -> Tensor {
        let stage =
            try main(precision)?.stageA()
            ?? StageA(
                configuration: .init(), parameters: RandomParameters(seed: 3),
                precision: precision)
        return try stage.decode(
            unscaled: random("latent", [1, 256, 256, stage.configuration.latentChannels]))
    }

    /// Pixels from 0 to 1.
    private func image(_ precision: Precision) throws -> Tensor {
        let image =
            if let checkpoint {
                Optional(
                    try Cascade(contentsOf: checkpoint, precision: precision)
                        .image(for: "a red house under a starry night sky", seed: 7))
            } else {
                try CascadeBenchmark.image(precision, stageCSteps: 4, stageBSteps: 4)
            }
        let pixels = image.map(\.pixels) ?? []
        return Tensor(pixels.map { Float($0) / 255 }, [pixels.count])
    }
}
