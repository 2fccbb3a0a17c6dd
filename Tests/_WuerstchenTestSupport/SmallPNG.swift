/// A PNG file of any kind, built byte by byte and without compression.
package struct SmallPNG {
    package static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
    package static let example = SmallPNG(width: 3, height: 2, bits: 8, type: 2) { x, y in
        [UInt8(x), UInt8(y), 200]
    }

    package let bytes: [UInt8]

    package init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    package init(
        width: Int, height: Int, bits: UInt8, type: Int, interlaced: Bool = false,
        chunks: [(type: String, data: [UInt8])] = [], pixel: (Int, Int) -> [UInt8]
    ) {
        // The first column and row of each of Adam7's passes, and the steps.
        let passes =
            interlaced
            ? [
                (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
                (0, 1, 1, 2),
            ] : [(0, 0, 1, 1)]
        var rows: [UInt8] = []
        for (left, top, right, down) in passes where left < width {
            for y in stride(from: top, to: height, by: down) {
                rows.append(0)
                for x in stride(from: left, to: width, by: right) {
                    rows += pixel(x, y)
                }
            }
        }
        let header =
            Self.bigEndian(UInt32(width)) + Self.bigEndian(UInt32(height))
            + [bits, UInt8(type), 0, 0, interlaced ? 1 : 0]
        bytes =
            Self.signature + Self.chunk("IHDR", header)
            + chunks.flatMap { Self.chunk($0.type, $0.data) }
            + Self.chunk("IDAT", Self.stored(rows)) + Self.chunk("IEND", [])
    }

    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { sum, _ in sum >> 1 ^ (sum & 1 == 1 ? 0xEDB8_8320 : 0) }
    }

    package static func chunk(_ type: String, _ data: [UInt8]) -> [UInt8] {
        let body = Array(type.utf8) + data
        var checksum: UInt32 = .max
        for byte in body {
            checksum = checksum >> 8 ^ table[Int(UInt8(truncatingIfNeeded: checksum) ^ byte)]
        }
        return bigEndian(UInt32(data.count)) + body + bigEndian(~checksum)
    }

    /// A zlib stream of one stored block, for fewer than 65536 bytes.
    package static func stored(_ bytes: [UInt8]) -> [UInt8] {
        var (low, high): (UInt32, UInt32) = (1, 0)
        for byte in bytes {
            low = (low + UInt32(byte)) % 65521
            high = (high + low) % 65521
        }
        let length = UInt16(bytes.count)
        let lengths = [length, ~length].flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
        return [0x78, 0x01, 0x01] + lengths + bytes + bigEndian(high << 16 | low)
    }

    /// A zlib stream of one byte again and again, 158 times for each of the stream's.
    package static func run(of byte: Int = 0, _ count: Int) -> [UInt8] {
        var stream: [UInt8] = [0x78, 0x01]
        var (bits, width) = (0, 0)
        /// Huffman codes are packed with their first bit first.
        func append(_ code: String) {
            for bit in code {
                bits |= (bit == "1" ? 1 : 0) << width
                width += 1
                if width == 8 {
                    stream.append(UInt8(bits))
                    (bits, width) = (0, 0)
                }
            }
        }
        // The last block, with fixed codes: the byte, then 258 times what is one back, and the end.
        let digits = String(0x30 + byte, radix: 2)
        let literal = String(repeating: "0", count: 8 - digits.count) + digits
        append("110")
        append(literal)
        let runs = (count - 1) / 258
        for _ in 0..<runs { append("11000101" + "00000") }
        for _ in 0..<count - 1 - 258 * runs { append(literal) }
        append("0000000")
        append("0000000")
        let low = (1 + byte * count) % 65521
        let high = (count + byte * (count * (count + 1) / 2 % 65521)) % 65521
        return stream + bigEndian(UInt32(high) << 16 | UInt32(low))
    }

    package static func bigEndian(_ value: UInt32) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }
}
