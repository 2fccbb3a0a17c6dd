import CWuerstchenPNG
import TensorCore

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// A keyword and its text as a PNG file holds them: the keyword in Latin-1, and the text in Latin-1
/// (a tEXt chunk) where that can hold it, otherwise in UTF-8 (iTXt).
struct PNGText {
    /// The longest text, in bytes. Readers based on libpng refuse a file with a chunk of more than
    /// 8 MB, and many stop at less.
    static let maximumLength = 1 << 20
    /// The most text that is kept of one file, in bytes.
    static let maximumTotalLength = 8 << 20

    private let keyword: [UInt8]
    private let text: [UInt8]
    private let isLatin1: Bool

    /// A text to write.
    ///
    /// - Throws: `WuerstchenError` with code `invalidRequest` for what a PNG file cannot hold.
    init(keyword: String, text: String) throws {
        guard let keywordBytes = Self.latin1(keyword), Self.isKeyword(keywordBytes) else {
            throw WuerstchenError(
                .invalidRequest,
                "\(keyword.debugDescription) is not a keyword that a PNG file can have; use 1 to 79 "
                    + "printable Latin-1 characters, with single spaces only between them")
        }
        guard text.utf8.count <= Self.maximumLength else {
            throw WuerstchenError(
                .invalidRequest,
                "the text for \(keyword.debugDescription) takes \(text.utf8.count) bytes in UTF-8; "
                    + "a text in a PNG file can have up to \(Self.maximumLength)")
        }
        guard !text.utf8.contains(0) else {
            throw WuerstchenError(
                .invalidRequest,
                "the text for \(keyword.debugDescription) contains U+0000, which a PNG file cannot "
                    + "hold; remove it")
        }
        self.keyword = keywordBytes
        // The standard defines only printable characters and the line feed in tEXt.
        if let bytes = Self.latin1(text),
            bytes.allSatisfy({ Self.isPrintable($0) || $0 == 0x0A })
        {
            (self.text, isLatin1) = (bytes, true)
        } else {
            (self.text, isLatin1) = (Array(text.utf8), false)
        }
    }

    /// Texts as libpng takes them, for as long as the closure runs.
    static func withEntries<Result>(
        _ texts: [PNGText], _ body: (inout [png_text]) throws -> Result
    ) rethrows -> Result {
        var strings: [UnsafeMutablePointer<CChar>] = []
        defer { strings.forEach { $0.deallocate() } }
        func string(_ bytes: [UInt8]) -> UnsafeMutablePointer<CChar> {
            let string = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count + 1)
            for (index, byte) in bytes.enumerated() { string[index] = CChar(bitPattern: byte) }
            string[bytes.count] = 0
            strings.append(string)
            return string
        }
        var entries = texts.map { text in
            var entry = png_text()
            entry.compression =
                text.isLatin1 ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE
            entry.key = string(text.keyword)
            entry.text = string(text.text)
            return entry
        }
        return try body(&entries)
    }

    /// The keyword and text of an entry that libpng read; nil for text that is not well-formed or
    /// longer than the maximum.
    static func decode(_ entry: png_text) -> (keyword: String, text: String)? {
        guard let key = entry.key, let text = entry.text else { return nil }
        let isUTF8 = entry.compression >= PNG_ITXT_COMPRESSION_NONE
        let length = isUTF8 ? entry.itxt_length : entry.text_length
        let keyword = bytes(key, strlen(key))
        guard isKeyword(keyword), length <= maximumLength else { return nil }
        let contents = bytes(text, length)
        let decoded = isUTF8 ? String(validating: contents, as: UTF8.self) : latin1(contents)
        return decoded.map { (latin1(keyword), $0) }
    }

    private static func bytes(_ string: UnsafeMutablePointer<CChar>, _ count: Int) -> [UInt8] {
        UnsafeBufferPointer(start: string, count: count).map(UInt8.init(bitPattern:))
    }

    private static func isKeyword(_ bytes: [UInt8]) -> Bool {
        let space: UInt8 = 0x20
        return (1...79).contains(bytes.count) && bytes.allSatisfy(isPrintable)
            && bytes.first != space && bytes.last != space
            && !zip(bytes, bytes.dropFirst()).contains { $0 == space && $1 == space }
    }

    private static func isPrintable(_ byte: UInt8) -> Bool {
        (0x20...0x7E).contains(byte) || byte >= 0xA1
    }

    /// The text in Latin-1; nil when it has other characters.
    private static func latin1(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        for scalar in text.unicodeScalars {
            guard let byte = UInt8(exactly: scalar.value) else { return nil }
            bytes.append(byte)
        }
        return bytes
    }

    private static func latin1(_ bytes: [UInt8]) -> String {
        var text = String.UnicodeScalarView()
        text.append(contentsOf: bytes.lazy.map { Unicode.Scalar($0) })
        return String(text)
    }
}
