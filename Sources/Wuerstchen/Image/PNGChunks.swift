import CWuerstchenPNG
import TensorCore

/// A PNG file taken apart, into what libpng is to decode and what it need not see: it reads every
/// chunk that it knows, and a small file can hold thousands that take megabytes each.
struct PNGChunks {
    /// The eight bytes that every PNG file starts with.
    static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

    /// A PNG file of the pixels, what their colours depend on, and the text that is wanted.
    private(set) var stream = signature
    /// How the pixels are to be turned.
    private(set) var orientation = ImageOrientation.upright
    /// What is wrong with the file beside its pixels, in words that follow its name.
    private(set) var notes: [String] = []

    private static let noteLimit = 4
    /// How many texts are read of a file.
    private static let textLimit = 64
    private static let texts: Set<String> = ["tEXt", "zTXt", "iTXt"]

    /// Takes a file apart.
    ///
    /// - Parameters:
    ///   - bytes: The file, with its signature.
    ///   - name: What messages call it.
    ///   - keepsText: Whether its text is wanted.
    /// - Throws: `WuerstchenError` for a file whose pixels end early or are damaged, and
    ///   `CancellationError`.
    init(_ bytes: [UInt8], name: String, keepsText: Bool) throws {
        var head: [Chunk] = []
        var texts: [Chunk] = []
        var data: [Chunk] = []
        var isOrientationKnown = false
        var isWhole = false
        var place = Self.signature.count
        chunks: while place < bytes.count {
            try Task.checkCancellation()
            guard let chunk = Chunk(at: place, in: bytes) else { break }
            // What is left out here must not be what stands in front of it: a reader that looks for
            // the size where it has to be would find another than libpng.
            guard place > Self.signature.count || chunk.type == "IHDR" else {
                throw PNGCodec.malformed(
                    name, "cannot be decoded (it does not begin with its IHDR chunk)")
            }
            defer { place = chunk.end }
            switch chunk.type {
            case "IEND":
                isWhole = true
                if !chunk.isIntact { notes.append("has a wrong checksum in its IEND chunk") }
                break chunks
            case "IDAT":
                guard data.last?.end ?? place == place else {
                    throw PNGCodec.malformed(
                        name, "cannot be decoded (IDAT: chunks between its IDAT chunks)")
                }
                guard chunk.isIntact else {
                    throw PNGCodec.malformed(name, "cannot be decoded (IDAT: CRC error)")
                }
                data.append(chunk)
            // After the pixels, what cannot be made out is as good as missing.
            case _ where chunk.isCritical && !chunk.isIntact && !data.isEmpty: break chunks
            case "gAMA", "cHRM", "sRGB", "tRNS", "PLTE": head.append(chunk)
            // What must be understood is for libpng to refuse.
            case _ where chunk.isCritical: head.append(chunk)
            case let type where !chunk.isIntact:
                // A sentence or two will do, however many chunks there are.
                if notes.count < Self.noteLimit {
                    notes.append("has a wrong checksum in its \(type) chunk, which is left out")
                }
            case "eXIf" where !isOrientationKnown:
                orientation = ImageOrientation(exif: bytes[chunk.contents])
                isOrientationKnown = true
            // Its samples are taken as they are, whatever a gAMA chunk says to readers that do not
            // know profiles.
            case "iCCP", "cICP": head.append(chunk)
            case let type where keepsText && Self.texts.contains(type):
                if texts.count < Self.textLimit,
                    chunk.contents.count <= PNGText.maximumLength + 1024
                {
                    texts.append(chunk)
                }
            default: break
            }
        }
        guard !data.isEmpty || isWhole else {
            throw PNGCodec.malformed(
                name, "cannot be decoded (it ends too early, before its IEND chunk)")
        }
        // An IDAT chunk that is cut off is not among the data, and its pixels will be missed.
        if !isWhole { notes.append("ends early, without its IEND chunk") }
        let hasProfile = head.contains { ["iCCP", "cICP", "sRGB"].contains($0.type) }
        head.removeAll {
            ["iCCP", "cICP"].contains($0.type)
                || hasProfile && ["gAMA", "cHRM"].contains($0.type)
        }
        stream.reserveCapacity(bytes.count)
        for chunk in head + texts { stream += bytes[chunk.start..<chunk.end] }
        try appendData(data, of: bytes)
        stream += Self.chunk("IEND", [])
    }

    /// The pixels in as few chunks as hold them: thousands of chunks of a byte each would look like
    /// more data than the image has.
    private mutating func appendData(_ chunks: [Chunk], of bytes: [UInt8]) throws {
        let largest = 1 << 30
        var joined: [UInt8] = []
        joined.reserveCapacity(min(largest, chunks.reduce(0) { $0 + $1.contents.count }))
        for chunk in chunks {
            try Task.checkCancellation()
            if joined.count + chunk.contents.count > largest, !joined.isEmpty {
                stream += Self.chunk("IDAT", joined)
                joined.removeAll()
            }
            joined += bytes[chunk.contents]
        }
        if !chunks.isEmpty { stream += Self.chunk("IDAT", joined) }
    }

    private static func chunk(_ type: String, _ contents: [UInt8]) -> [UInt8] {
        let body = Array(type.utf8) + contents
        return bigEndian(UInt32(contents.count)) + body + bigEndian(checksum(body[...]))
    }

    private static func bigEndian(_ number: UInt32) -> [UInt8] {
        withUnsafeBytes(of: number.bigEndian, Array.init)
    }

    fileprivate static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.withUnsafeBufferPointer { UInt32(crc32_z(0, $0.baseAddress, $0.count)) }
    }
}

/// Where a chunk lies: its length, its type, its contents and its checksum.
private struct Chunk {
    let start: Int
    let type: String
    let contents: Range<Int>
    let isIntact: Bool

    var end: Int { contents.upperBound + 4 }

    /// Whether a reader must understand it: its type begins with a capital letter.
    var isCritical: Bool { type.utf8.first.map { $0 & 0x20 == 0 } ?? true }

    /// The chunk at a place; nil where the file ends before the chunk does.
    init?(at place: Int, in bytes: [UInt8]) {
        func number(_ place: Int) -> Int {
            bytes[place..<place + 4].reduce(0) { $0 << 8 | Int($1) }
        }
        guard bytes.count - place >= 12 else { return nil }
        let length = number(place)
        guard bytes.count - place - 12 >= length else { return nil }
        start = place
        type = String(decoding: bytes[place + 4..<place + 8], as: Unicode.ASCII.self)
        contents = place + 8..<place + 8 + length
        isIntact =
            PNGChunks.checksum(bytes[place + 4..<place + 8 + length])
            == UInt32(number(place + 8 + length))
    }
}
