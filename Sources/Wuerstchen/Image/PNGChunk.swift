import CWuerstchenPNG

/// One chunk of a PNG file. A file is a signature and then chunks: each a length, a type of four
/// letters, the data and a checksum of type and data.
struct PNGChunk {
    /// The eight bytes that every PNG file starts with.
    static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

    /// The type, such as "IHDR".
    let type: String
    /// The data, without length, type and checksum.
    let data: ArraySlice<UInt8>

    /// The bytes of the chunk in a file.
    var encoded: [UInt8] {
        let body = Array(type.utf8) + data
        return Self.bigEndian(UInt32(data.count)) + body + Self.bigEndian(Self.checksum(body[...]))
    }

    /// What is wrong with the chunks of a file, as the end of a sentence about it.
    struct Damage: Error {
        let found: String
    }

    /// All chunks of a file up to and including IEND, with their checksums verified. What comes
    /// after IEND is ignored.
    static func chunks(of file: [UInt8]) throws(Damage) -> [PNGChunk] {
        guard file.starts(with: signature) else {
            throw Damage(found: "does not start with a PNG signature")
        }
        var chunks: [PNGChunk] = []
        var rest = file[signature.count...]
        while chunks.last?.type != "IEND" {
            guard rest.count >= 12 else {
                throw Damage(found: "ends after \(file.count) bytes, before its IEND chunk")
            }
            let length = integer(rest.prefix(4))
            rest = rest.dropFirst(4)
            let type = String(decoding: rest.prefix(4), as: UTF8.self)
            guard length <= rest.count - 8 else {
                throw Damage(
                    found: "ends after \(file.count) bytes, within its chunk "
                        + type.debugDescription)
            }
            let body = rest.prefix(4 + length)
            rest = rest.dropFirst(4 + length)
            guard integer(rest.prefix(4)) == checksum(body) else {
                throw Damage(found: "has a wrong checksum in its chunk \(type.debugDescription)")
            }
            rest = rest.dropFirst(4)
            chunks.append(PNGChunk(type: type, data: body.dropFirst(4)))
        }
        return chunks
    }

    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.withUnsafeBufferPointer { UInt32(crc32(0, $0.baseAddress, uInt($0.count))) }
    }

    private static func bigEndian(_ value: UInt32) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }

    /// The value of big-endian bytes.
    static func integer(_ bytes: ArraySlice<UInt8>) -> Int {
        bytes.reduce(0) { $0 << 8 | Int($1) }
    }
}
