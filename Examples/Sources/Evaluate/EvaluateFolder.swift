import ExampleSupport
import Foundation
import TensorCore
import Wuerstchen
import WuerstchenTraining

/// The rows of a folder of images.
extension Evaluate {
    func measureFolder(_ gates: CascadeGates, _ process: ProcessRank, sheet: URL?) throws {
        let options = ImageFolderOptions(
            sizes: .fixed(gates.cascade.defaultSize), maximumEnlargement: 4, seed: seed)
        guard let folder = try folder.folder(options) else { return }
        let line = StatusLine()
        line.note("\(folder.summary(tokenizer: try gates.cascade.textEncoder().tokenizer))")
        var evaluation = try FolderEvaluation(gates, folder, count: count)
        evaluation.gates.kept = try kept(
            "images", gates,
            of: "\(folder.fingerprint), \(evaluation.batchSize) at a time, \(folder.options)")
        let leave = try share(
            process,
            make: { [evaluation] row, progress in
                try evaluation.make(row.gate, by: process, progress: progress)
            },
            isMade: { [evaluation] row in evaluation.isMade(row.gate) })
        guard let leave else { return }
        defer { withExtendedLifetime(leave) {} }
        if let problem = evaluation.probeProblem { line.note(problem) }
        var drawn = ContactSheet(title: "evaluation", imageSide: 160, columns: 8)
        let levels = (0..<ImageDetail.levels).map { "SWD-\($0 + 1)" }
        printCells(
            "row", ["count", "FD", "PSNR", "edges", "Laplacian", "SWD"] + levels + ["captions"])
        for row in only {
            var done = 0
            let result = try evaluation.run(row.gate) { images, captions in
                if done == 0, sheet != nil {
                    let shown = min(8, captions.count)
                    try drawn.addRow(
                        row.gate.rawValue, images[0..<shown],
                        captions: row.gate == .images ? [] : Array(captions.prefix(shown)))
                }
                try export(images, first: done, row)
                done += captions.count
                line.show("\(row.rawValue) \(done)")
            }
            line.show("")
            let distances = result.patchDistances
            printCells(
                result.gate.rawValue,
                [
                    "\(result.count)", result.distance?.rounded(to: 3) ?? "–",
                    result.signalToNoise?.rounded(to: 1) ?? "–", result.edges.rounded(to: 2),
                    result.laplacian.rounded(to: 2),
                    (distances.reduce(0, +) / Double(distances.count)).rounded(to: 1),
                ] + distances.map { $0.rounded(to: 1) }
                    + [result.retrieval.map { "\((100 * $0).rounded(to: 1)) %" } ?? "–"])
        }
        if let sheet { try drawn.write(to: sheet) }
    }

    private func printCells(_ name: String, _ cells: [String]) {
        print(pad(name, 24) + cells.map { pad($0, 10) }.joined())
    }
}
