package import Foundation
package import TensorCore

/// The folder of one network as it is written: `config.json` and one file of weights.
package struct NetworkFolder {
    private let url: URL

    package init(_ url: URL) {
        self.url = url
    }

    /// Writes the configuration and the weights, and removes weights of other names, which an
    /// earlier export left. Weights that cannot be stored leave the folder as it was.
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
            for other in try FileManager.default.contentsOfDirectory(
                at: url, includingPropertiesForKeys: nil)
            where other.pathExtension == "safetensors"
                && other.lastPathComponent != file.lastPathComponent
            {
                try FileManager.default.removeItem(at: other)
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
