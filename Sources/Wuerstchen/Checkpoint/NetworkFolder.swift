package import Foundation
package import TensorCore

/// The folder of one network as it is written: `config.json` and one file of weights.
package struct NetworkFolder {
    private let url: URL
    /// What files of weights are called without `.safetensors`.
    private static let stems = [
        CheckpointLayout.published.stageC.stem, CheckpointLayout.published.priorTextEncoder.stem,
        StudentFolder.differences,
    ]

    package init(_ url: URL) {
        self.url = url
    }

    /// Writes the configuration and the weights, and removes weights of the other names that are
    /// written to such a folder, which an earlier export left. Weights that cannot be stored leave
    /// the folder as it was.
    ///
    /// - Throws: ``WuerstchenError`` with code `unwritableFile`, and what the sources throw.
    package func write(
        _ sources: [Safetensors.Source], _ configuration: some Encodable, stem: String,
        metadata: [String: String] = [:]
    ) throws {
        try makeFolder(url)
        let file = url.appendingPathComponent("\(stem).safetensors")
        try Safetensors.write(
            sources, metadata: metadata.merging(["format": "pt"]) { $1 }, to: file)
        try encodeJSON(
            configuration,
            to: url.appendingPathComponent(CheckpointLayout.published.configuration))
        do {
            for other in Self.stems where other != stem {
                let older = url.appendingPathComponent("\(other).safetensors")
                guard FileManager.default.fileExists(atPath: older.path) else { continue }
                try FileManager.default.removeItem(at: older)
            }
        } catch {
            throw WuerstchenError(
                .unwritableFile, "older weights in \(url.path) cannot be removed",
                underlying: error)
        }
    }
}

/// Writes a JSON file with its keys in order.
///
/// - Throws: ``WuerstchenError`` with code `unwritableFile`.
package func encodeJSON(_ value: some Encodable, to file: URL) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    let data: Data
    do {
        data = try encoder.encode(value)
    } catch {
        throw WuerstchenError(.unwritableFile, "\(file.path) cannot be written", underlying: error)
    }
    try AtomicFile.replace(file, with: data)
}
