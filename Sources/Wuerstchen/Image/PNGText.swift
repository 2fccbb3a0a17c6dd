import CWuerstchenPNG
import TensorCore

/// The text chunks of a PNG file: tEXt holds Latin-1, zTXt the same compressed, and iTXt UTF-8,
/// compressed or not. Keywords are Latin-1 in all three.
enum PNGText {
    /// The longest text, in bytes. Readers based on libpng refuse a file with a chunk of more than
    /// 8 MB, and many stop at less.
    static let maximumLength = 1 << 20

    /// The chunk for a keyword and its text: tEXt when that can hold the text, otherwise iTXt.
    static func chunk(keyword: String, text: String) throws -> PNGChunk {
        guard let keywordBytes = latin1(keyword), isKeyword(keywordBytes) else {
            throw WuerstchenError(
                .invalidRequest,
                "\(keyword.debugDescription) is not a keyword that a PNG file can have; use 1 to 79 "
                    + "printable Latin-1 characters, with single spaces only between them")
        }
        guard text.utf8.count <= maximumLength else {
            throw WuerstchenError(
                .invalidRequest,
                "the text for \(keyword.debugDescription) takes \(text.utf8.count) bytes in UTF-8; "
                    + "a text in a PNG file can have up to \(maximumLength)")
        }
        guard !text.utf8.contains(0) else {
            throw WuerstchenError(
                .invalidRequest,
                "the text for \(keyword.debugDescription) contains U+0000, which a PNG file cannot "
                    + "hold; remove it")
        }
        // The standard defines only printable characters and the line feed in tEXt.
        if let textBytes = latin1(text), textBytes.allSatisfy({ isPrintable($0) || $0 == 0x0A }) {
            return PNGChunk(type: "tEXt", data: (keywordBytes + [0] + textBytes)[...])
        }
        // Not compressed, no language, no translated keyword.
        let head = keywordBytes + [0] + [0, 0] + [0] + [0]
        return PNGChunk(type: "iTXt", data: (head + text.utf8)[...])
    }

    /// The keyword and text of a chunk; nil for other chunks, and for text that is not well-formed
    /// or longer than the maximum once decompressed.
    static func decode(_ chunk: PNGChunk) -> (keyword: String, text: String)? {
        var rest = chunk.data
        guard ["tEXt", "zTXt", "iTXt"].contains(chunk.type),
            let keyword = takeField(&rest), isKeyword(Array(keyword))
        else { return nil }

        var isCompressed = chunk.type == "zTXt"
        if chunk.type == "iTXt" {
            guard let flag = rest.popFirst(), flag <= 1 else { return nil }
            isCompressed = flag == 1
        }
        if chunk.type != "tEXt" {
            // The only compression method is 0, zlib; without compression it means nothing.
            guard let method = rest.popFirst(), method == 0 || !isCompressed else { return nil }
        }
        if chunk.type == "iTXt" {
            guard takeField(&rest) != nil, takeField(&rest) != nil else { return nil }
        }
        guard let bytes = isCompressed ? decompressed(rest) : Array(rest) else { return nil }
        let text = chunk.type == "iTXt" ? String(validating: bytes, as: UTF8.self) : latin1(bytes)
        return text.map { (latin1(keyword), $0) }
    }

    /// The bytes before the next zero, which goes with them.
    private static func takeField(_ bytes: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard let end = bytes.firstIndex(of: 0) else { return nil }
        defer { bytes = bytes[(end + 1)...] }
        return bytes[..<end]
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

    private static func latin1(_ bytes: some Sequence<UInt8>) -> String {
        var text = String.UnicodeScalarView()
        text.append(contentsOf: bytes.lazy.map { Unicode.Scalar($0) })
        return String(text)
    }

    /// The contents of a zlib stream; nil when it is damaged or its contents are too long.
    private static func decompressed(_ bytes: ArraySlice<UInt8>) -> [UInt8]? {
        var status = Z_OK
        let contents = [UInt8](unsafeUninitializedCapacity: maximumLength) { target, count in
            var length = uLong(target.count)
            status = bytes.withUnsafeBufferPointer {
                uncompress(target.baseAddress, &length, $0.baseAddress, uLong($0.count))
            }
            count = status == Z_OK ? Int(length) : 0
        }
        return status == Z_OK ? contents : nil
    }
}
