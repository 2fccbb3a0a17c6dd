public import Foundation
internal import TensorCore
internal import Wuerstchen

/// Captions that a checkpoint was trained on, a line for each, in `captions.txt` in its folder:
/// what it can be asked for, such as by whoever fine-tunes it and wants to keep what it knows.
public struct CheckpointCaptions: Sendable {
    /// The file's name.
    public static let fileName = "captions.txt"
    /// There are no more than so many, of many captions some from everywhere.
    static let most = 1024

    /// The captions.
    public let captions: [String]

    /// Some of the captions of a training.
    package init(of all: [String]) {
        let lines = all.map { $0.split(whereSeparator: \.isNewline).joined(separator: " ") }
            .filter { !$0.isEmpty }
        let stride = max(1, (lines.count + Self.most - 1) / Self.most)
        captions = lines.indices.filter { $0.isMultiple(of: stride) }.map { lines[$0] }
    }

    /// The captions in a file, one in each line.
    ///
    /// - Throws: `WuerstchenError` when the file is not there, is no text or has no caption.
    public init(contentsOf file: URL) throws {
        captions = try CaptionFile.text(of: file).split(whereSeparator: \.isNewline)
            .map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
        guard !captions.isEmpty else {
            throw WuerstchenError(
                .malformedFile, "\(file.path) has no caption in it; write one in each line")
        }
    }

    /// The captions of a checkpoint; nil where it has none.
    ///
    /// - Throws: As ``init(contentsOf:)``.
    public init?(of checkpoint: URL) throws {
        let file = checkpoint.appendingPathComponent(Self.fileName)
        guard FileManager.default.fileExists(atPath: file.path) else { return nil }
        try self.init(contentsOf: file)
    }

    /// Writes them into a checkpoint's folder.
    ///
    /// - Throws: `WuerstchenError` when that is not possible.
    package func write(in folder: URL) throws {
        try AtomicFile.replace(
            folder.appendingPathComponent(Self.fileName),
            with: Data(captions.map { $0 + "\n" }.joined().utf8))
    }
}
