import Foundation
import TensorCore

/// The text file with the caption of an image.
enum CaptionFile {
    /// A file with more bytes is something else, and is not read.
    static let maximumByteCount = 1 << 20

    /// The extensions of captions. Where an image has several files, the first of these counts.
    static let kinds = ["txt", "caption"]

    /// The caption, without white space around it.
    ///
    /// Encodings are not guessed: without a mark, Windows-1252 cannot be told from a dozen others,
    /// and the wrong one gives words that nobody wrote.
    ///
    /// - Throws: `WuerstchenError` for a file that is not there, no regular file, too large, or
    ///   neither UTF-8 nor UTF-16 with a byte order mark.
    static func text(of url: URL) throws -> String {
        let count = try requireRegularFile(url)
        guard count <= maximumByteCount else {
            throw WuerstchenError(
                .unreadableFile,
                "\(url.path) has \(count) bytes, and a caption at most \(maximumByteCount)")
        }
        guard let text = decoded(try contents(of: url)) else {
            throw WuerstchenError(
                .malformedFile,
                "\(url.path) is not UTF-8, nor UTF-16 with a byte order mark; save it as UTF-8")
        }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private static func decoded(_ data: Data) -> String? {
        let text: String?
        switch Array(data.prefix(2)) {
        case [0xFF, 0xFE]: text = decodedUTF16(data.dropFirst(2)) { UInt16($1) << 8 | UInt16($0) }
        case [0xFE, 0xFF]: text = decodedUTF16(data.dropFirst(2)) { UInt16($0) << 8 | UInt16($1) }
        default: text = String(validating: withoutByteOrderMark(data), as: UTF8.self)
        }
        // Every other byte of UTF-16 without a mark may be zero, which is UTF-8 all the same.
        return text.flatMap { $0.unicodeScalars.contains("\0") ? nil : $0 }
    }

    private static func decodedUTF16(
        _ bytes: Data, _ unit: (UInt8, UInt8) -> UInt16
    ) -> String? {
        guard bytes.count.isMultiple(of: 2) else { return nil }
        let units = stride(from: bytes.startIndex, to: bytes.endIndex, by: 2).map {
            unit(bytes[$0], bytes[$0 + 1])
        }
        return String(validating: units, as: UTF16.self)
    }
}
