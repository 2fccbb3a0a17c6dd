public import ArgumentParser
import Foundation
import Wuerstchen
import WuerstchenMiniature
import WuerstchenTraining

@main struct Evaluate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Measure how well a cascade draws scenes that it was not trained on.",
        discussion: """
            Every part is put before a probe that reads pictures back: renders themselves, Stage A, \
            compressor and preview, compressor and Stages B and A, and text. The table says how many \
            of the attributes are right, the Fréchet distance to true pictures, and the likeness.
            """)

    @Option(help: "A checkpoint with compressor and preview decoder. (default: the miniature)")
    var checkpoint: String?

    @Option(help: "The probe's weights. (default: the probe that ships in the package)")
    var probe: String?

    @Option(help: "Pictures for each row.")
    var count = 500

    @Option(help: "Rows to measure: renders, A, preview, decoder, text-preview, text.")
    var only: [Row] = Row.allCases

    @Option(help: "Steps of Stage C.")
    var priorSteps = 60

    @Option(help: "Guidance of Stage C.")
    var guidance: Float = 4

    @Option(help: "Steps of Stage B.")
    var decoderSteps = 12

    @Option(help: "The numbers that the networks compute with.")
    var precision = Precision.float32

    @Option(help: "Scenes and noise depend on it.")
    var seed: UInt64 = 5000

    @Option(help: "Write a sheet of the first pictures of each row here.")
    var sheet: String?

    enum Row: String, ExpressibleByArgument, CaseIterable {
        case renders
        case stageA = "A"
        case preview, decoder
        case textPreview = "text-preview"
        case text

        var gate: CascadeEvaluation.Gate {
            switch self {
            case .renders: .renders
            case .stageA: .stageA
            case .preview: .preview
            case .decoder: .decoder
            case .textPreview: .textPreview
            case .text: .text
            }
        }
    }

    func validate() throws {
        guard (2...100_000).contains(count) else {
            throw ValidationError("--count must be 2 to 100000")
        }
    }

    func run() throws {
        let folder = try checkpoint.map { URL(fileURLWithPath: $0) } ?? Miniature.folder()
        let cascade = try Cascade(contentsOf: folder, precision: precision)
        var evaluation = CascadeEvaluation(
            cascade: cascade,
            compressor: try SemanticCompressor(
                contentsOf: folder.appendingPathComponent("compressor.safetensors"),
                latentSpace: cascade.latentSpace),
            probe: try probe.map { try SceneProbe(contentsOf: URL(fileURLWithPath: $0)) }
                ?? .shipped(),
            seed: seed)
        evaluation.prior = SamplingOptions(
            timesteps: try Timesteps(count: priorSteps), guidance: guidance)
        evaluation.decoder = SamplingOptions(
            timesteps: try Timesteps(count: decoderSteps), guidance: 0)
        let truth = evaluation.trueStatistics(count: max(1000, count))
        var drawn = ContactSheet(title: "evaluation", pictureSide: 160, columns: 8)
        printHeader()
        for row in only {
            let isTerminal = isatty(STDERR_FILENO) == 1
            let result = try evaluation.run(row.gate, count: count, against: truth) {
                if isTerminal {
                    FileHandle.standardError.write(Data("\r\(row.rawValue) \($0)  ".utf8))
                }
            }
            if isTerminal { FileHandle.standardError.write(Data("\r                    \r".utf8)) }
            printRow(result)
            if sheet != nil {
                let batch = evaluation.pictures.batch(0, count: 16)
                let made = try evaluation.make(row.gate, batch, seed: 0)
                for first in [0, 8] {
                    try drawn.addRow(
                        row.gate.rawValue.replacingOccurrences(of: "→", with: ">"),
                        made[first..<first + 8], captions: Array(batch.captions[first..<first + 8]))
                }
            }
        }
        if let sheet { try drawn.write(to: URL(fileURLWithPath: sheet)) }
    }

    private func printHeader() {
        let names = SceneAttribute.allCases.map { "\($0)" }
        print(
            pad("pictures", 24)
                + (["FD", "PSNR", "mean", "all"] + names).map { pad($0, 9) }.joined())
    }

    private func printRow(_ result: SceneEvaluation) {
        func percent(_ share: Double?) -> String { share.map { number(100 * $0) } ?? "–" }
        let cells =
            [
                result.distance.map(number) ?? "–", result.signalToNoise.map(number) ?? "–",
                percent(result.mean), percent(result.allRight),
            ] + result.shares.map(percent)
        print(pad(result.name, 24) + cells.map { pad($0, 9) }.joined())
    }

    private func number(_ value: Double) -> String {
        value.formatted(
            .number.precision(.fractionLength(1)).locale(Locale(identifier: "en_US_POSIX")))
    }

    private func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }
}

extension Precision: @retroactive ExpressibleByArgument {}
