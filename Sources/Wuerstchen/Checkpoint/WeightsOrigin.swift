package import Foundation
internal import TensorCore

/// What weights were converted from, as the metadata of their files says it: the fingerprints of
/// the files that were read, and of those that these were converted from. So a student of the first
/// is known to be one of the last too.
package enum WeightsOrigin {
    private static let key = "converted_from"

    /// The fingerprint of a network's weights, and those of what they were converted from.
    ///
    /// - Parameter files: The network's folder, or its file where it has none.
    /// - Returns: The fingerprints, the weights' own first; see ``weightsFingerprint(of:)``.
    /// - Throws: As ``weightsFingerprint(of:)``.
    package static func fingerprints(of files: URL) throws -> [String] {
        let own = try weightsFingerprint(of: files)
        let weights =
            CheckpointFolder.isFile(files)
            ? [files]
            : try FileManager.default.contentsOfDirectory(
                at: files, includingPropertiesForKeys: nil
            ).filter { $0.pathExtension == "safetensors" }
        let origins = Set(
            weights.flatMap { file in
                // A variant that cannot be read is nobody's origin.
                ((try? Safetensors(contentsOf: file))?.metadata[key] ?? "").split(separator: ",")
            })
        return [own] + origins.map(String.init).sorted()
    }

    /// The metadata of weights that are converted from others.
    ///
    /// - Parameter files: Where the others are.
    /// - Returns: What is merged into what the files say of themselves.
    /// - Throws: As ``weightsFingerprint(of:)``.
    package static func metadata(convertedFrom files: URL) throws -> [String: String] {
        [key: try fingerprints(of: files).joined(separator: ",")]
    }
}
