public import Foundation
internal import TensorCore

/// A fingerprint that tells networks apart: a hash in the manner of FNV-1a, word by word, of the
/// files of weights in a folder and of its `config.json`. It finds mistakes, not attacks.
///
/// - Parameter folder: The folder of a network; or its file, where it has none.
/// - Returns: Sixteen hexadecimal digits.
/// - Throws: ``WuerstchenError`` with code `fileNotFound` when there are no weights.
public func weightsFingerprint(of folder: URL) throws -> String {
    guard !CheckpointFolder.isFile(folder) else { return try weightsFingerprint(ofFile: folder) }
    do {
        let files = try FileManager.default.contentsOfDirectory(
            at: folder, includingPropertiesForKeys: nil
        ).filter {
            ["safetensors", "bin"].contains($0.pathExtension)
                || $0.lastPathComponent == CheckpointLayout.published.configuration
        }.sorted { $0.lastPathComponent < $1.lastPathComponent }
        guard files.contains(where: { $0.pathExtension != "json" }) else {
            throw WuerstchenError(.fileNotFound, "\(folder.path) has no weights in it")
        }
        return try fingerprint(of: files)
    } catch let error as WuerstchenError {
        throw error
    } catch {
        throw WuerstchenError(
            .fileNotFound, "the folder \(folder.path) cannot be read", underlying: error)
    }
}

/// The fingerprint of one file of weights, such as a compressor's.
///
/// - Parameter file: The file.
/// - Returns: Sixteen hexadecimal digits.
/// - Throws: ``WuerstchenError`` with code `unreadableFile`.
public func weightsFingerprint(ofFile file: URL) throws -> String {
    do {
        return try fingerprint(of: [file])
    } catch {
        throw WuerstchenError(
            .unreadableFile, "\(file.path) cannot be read", underlying: error)
    }
}

private func fingerprint(of files: [URL]) throws -> String {
    var hash = FNV1a()
    for file in files {
        let handle = try FileHandle(forReadingFrom: file)
        defer { try? handle.close() }
        // Piece by piece: mapped whole, gigabytes would count as the process's memory. Pieces are
        // of whole words but for the last.
        while let piece = try handle.read(upToCount: 1 << 20), !piece.isEmpty {
            piece.withUnsafeBytes { hash.addWords($0) }
        }
    }
    return hash.digits
}
