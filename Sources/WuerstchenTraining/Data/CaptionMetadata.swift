import Foundation
import TensorCore

/// The captions in a folder's `metadata.jsonl`, the table of the Hugging Face hub: a JSON object a
/// line, with the path of an image from the table's folder as `file_name` and its caption as
/// `text`.
struct CaptionMetadata {
    static let fileName = "metadata.jsonl"

    /// A caption, and where it is written.
    struct Entry {
        let text: String
        let place: String
    }

    /// The captions by the paths of their images below the folder.
    private(set) var entries: [String: Entry] = [:]

    /// The captions of all tables in a listing.
    ///
    /// - Throws: `WuerstchenError` that names the line, for one that is no such object.
    init(_ folder: URL, _ files: [FileName]) throws {
        for file in files where file.name.split(separator: "/").last == Self.fileName[...] {
            let prefix = String(file.name.dropLast(Self.fileName.count))
            try add(folder.file(file.name), name: file.name, prefix: prefix)
        }
    }

    private struct Line: Decodable {
        let file: String
        let text: String?
        let caption: String?

        enum CodingKeys: String, CodingKey {
            case file = "file_name"
            case text, caption
        }
    }

    private mutating func add(_ url: URL, name: String, prefix: String) throws {
        _ = try requireRegularFile(url)
        let bytes = withoutByteOrderMark(try contents(of: url))
        guard let table = String(validating: bytes, as: UTF8.self) else {
            throw WuerstchenError(.malformedFile, "\(url.path) is not UTF-8; save it as UTF-8")
        }
        let lines = table.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for (index, line) in lines.enumerated() where !line.allSatisfy(\.isWhitespace) {
            guard let found = try? JSONDecoder().decode(Line.self, from: Data(line.utf8)),
                let text = found.text ?? found.caption
            else {
                throw WuerstchenError(
                    .malformedFile,
                    "line \(index + 1) of \(url.path) is not a JSON object with the texts "
                        + "file_name and text")
            }
            entries[prefix + found.file] = Entry(
                text: text.trimmingCharacters(in: .whitespacesAndNewlines),
                place: "\(name):\(index + 1)")
        }
    }
}
