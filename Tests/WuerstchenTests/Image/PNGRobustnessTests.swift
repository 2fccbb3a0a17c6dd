import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// Files that lie on their side, that are much larger than they look, or whose damage does not
/// touch the pixels.
@Suite struct PNGRobustnessTests {
    // MARK: Orientation

    /// A block of Exif with an orientation between two other entries.
    private func exif(_ orientation: UInt8, isLittle: Bool, type: UInt8 = 3) -> [UInt8] {
        func number(_ value: UInt8, _ count: Int) -> [UInt8] {
            let zeros = [UInt8](repeating: 0, count: count - 1)
            return isLittle ? [value] + zeros : zeros + [value]
        }
        func entry(_ tag: [UInt8], _ type: UInt8, _ value: [UInt8]) -> [UInt8] {
            let tag = isLittle ? Array(tag.reversed()) : tag
            let padding = [UInt8](repeating: 0, count: 4 - value.count)
            let parts: [[UInt8]] = [tag, number(type, 2), number(1, 4), value, padding]
            return Array(parts.joined())
        }
        let header: [UInt8] = isLittle ? [0x49, 0x49, 42, 0] : [0x4D, 0x4D, 0, 42]
        let parts: [[UInt8]] = [
            header, number(8, 4), number(3, 2), entry([0x01, 0x06], 3, number(2, 2)),
            entry([0x01, 0x12], type, number(orientation, type == 3 ? 2 : 4)),
            entry([0x02, 0x13], 3, number(1, 2)), number(0, 4),
        ]
        return Array(parts.joined())
    }

    private func png(exif: [UInt8]?) -> SmallPNG {
        let chunks: [(type: String, data: [UInt8])] = exif.map { [(type: "eXIf", data: $0)] } ?? []
        return SmallPNG(width: 3, height: 2, bits: 8, type: 0, chunks: chunks) { x, y in
            [UInt8(65 + 3 * y + x)]
        }
    }

    private func letters(_ png: SmallPNG) throws -> String {
        let image = try read(png.bytes).image
        return (0..<image.height).map { y in
            (0..<image.width).map { "\(Unicode.Scalar(image[$0, y].red))" }.joined()
        }
        .joined(separator: " ")
    }

    @Test(
        arguments: zip(
            1...8,
            [
                "ABC DEF", "CBA FED", "FED CBA", "DEF ABC", "AD BE CF", "DA EB FC", "FC EB DA",
                "CF BE AD",
            ] as [String]))
    func everyOrientationIsTurnedUpright(value: Int, upright: String) throws {
        for isLittle in [false, true] {
            let block = exif(UInt8(value), isLittle: isLittle)
            #expect(try letters(png(exif: block)) == upright)
            #expect(try letters(png(exif: Array("Exif\0\0".utf8) + block)) == upright)
        }
        // The chunk may also follow the pixels.
        let file = png(exif: nil).bytes
        let chunk = SmallPNG.chunk("eXIf", exif(UInt8(value), isLittle: true))
        let bytes = file.dropLast(12) + chunk + file.suffix(12)
        #expect(try letters(SmallPNG(bytes: Array(bytes))) == upright)
    }

    @Test func otherExifChangesNothing() throws {
        let good = exif(6, isLittle: true)
        for block in [
            exif(0, isLittle: true), exif(9, isLittle: false), exif(6, isLittle: true, type: 4), [],
            Array("MM".utf8), [0x49, 0x49, 42, 0, 0xFF, 0xFF, 0xFF, 0xFF],
            Array(good.prefix(20)), [UInt8](repeating: 0xFF, count: 300),
        ] {
            #expect(try letters(png(exif: block)) == "ABC DEF")
        }
    }

    // MARK: Small files that hold much

    @Test func textIsLimitedInAllAndCostsNothingUnread() throws {
        let text = Array("key\0\0".utf8) + SmallPNG.run(of: 65, 900_000)
        let chunks = (0..<400).map { _ in ("zTXt", text) }
        let bytes = SmallPNG(width: 1, height: 1, bits: 8, type: 0, chunks: chunks) { _, _ in [9] }
            .bytes
        let unread = try processorTime {
            try withFolder { folder in
                let url = folder.appendingPathComponent("text.png")
                try Data(bytes).write(to: url)
                #expect(try Image(contentsOf: url).pixels == [9, 9, 9])
            }
        }
        let wanted = try processorTime {
            let file = try read(bytes)
            #expect(file.image.pixels == [9, 9, 9])
            #expect(file.text["key"]?.utf8.count == 900_000)
        }
        // Not in seconds: a sanitizer makes both slow.
        #expect(unread < wanted, "unread \(unread), read \(wanted)")
        let numbered = (0..<20).map {
            ("tEXt", Array("\($0)\0".utf8) + [UInt8](repeating: 65, count: 1 << 20))
        }
        let much = SmallPNG(width: 1, height: 1, bits: 8, type: 0, chunks: numbered) { _, _ in [9] }
        #expect(try read(much.bytes).text.count == 8)
    }

    @Test(arguments: [false, true])
    func pixelsBeyondTheImageAreAnErrorAtOnce(interlaced: Bool) throws {
        let header =
            SmallPNG.bigEndian(4) + SmallPNG.bigEndian(3) + [8, 0, 0, 0, interlaced ? 1 : 0]
        func file(_ data: [UInt8]) -> [UInt8] {
            SmallPNG.signature + SmallPNG.chunk("IHDR", header) + SmallPNG.chunk("IDAT", data)
                + SmallPNG.chunk("IEND", [])
        }
        let whole = interlaced ? 18 : 15
        #expect(
            try read(file(SmallPNG.run(whole))).image.pixels == [UInt8](repeating: 0, count: 36))
        for count in [whole + 1, 1 << 16, 64 << 20] {
            let bytes = file(SmallPNG.run(count))
            let time = processorTime {
                expectError(.malformedFile, "IDAT", "more than the pixels") { _ = try read(bytes) }
            }
            #expect(time < .seconds(20), "\(count) bytes")
        }
    }

    @Test(arguments: [false, true])
    func aFewBytesThatClaimGigabytesAreAnErrorAtOnce(interlaced: Bool) throws {
        let side = SmallPNG.bigEndian(16384)
        let file =
            SmallPNG.signature
            + SmallPNG.chunk("IHDR", side + side + [8, 2, 0, 0, interlaced ? 1 : 0])
            + SmallPNG.chunk("IDAT", SmallPNG.run(1 << 16)) + SmallPNG.chunk("IEND", [])
        let time = processorTime {
            expectError(.malformedFile, "claims 16384×16384 pixels", "\(file.count) bytes") {
                _ = try read(file)
            }
        }
        #expect(time < .seconds(1), "no memory for the pixels was filled")
    }

    @Test(arguments: ["tEXt", "eXIf", "gAMA", "abCd", "PLTE"])
    func whatDoesNotBeginWithItsSizeIsNoPNG(type: String) throws {
        // Where the size should be stands a small one.
        let contents = SmallPNG.bigEndian(3) + SmallPNG.bigEndian(2) + [8, 0, 0, 0, 0]
        let bytes =
            SmallPNG.signature + SmallPNG.chunk(type, contents)
            + SmallPNG.example.bytes.dropFirst(SmallPNG.signature.count)
        expectError(.malformedFile, "IHDR") { _ = try Image(pngData: Data(bytes)) }
        expectError(.malformedFile, "IHDR") { _ = try ImageMask(pngData: Data(bytes)) }
        expectError(.malformedFile, "IHDR") { _ = try read(bytes) }
    }

    @Test func aSideThatIsLongerThanWantedIsNotRead() throws {
        for size in [ImageSize(width: 3, height: 2), ImageSize(width: 2, height: 3)] {
            let file = Data(
                SmallPNG(width: size.width, height: size.height, bits: 8, type: 0) { _, _ in [9] }
                    .bytes)
            #expect(try Image(pngData: file, maximumSide: 3).size == size)
            #expect(try ImageMask(pngData: file, maximumSide: 3).size == size)
            expectError(.unreadableFile, "\(size)", "up to 2 a side") {
                _ = try Image(pngData: file, maximumSide: 2)
            }
            expectError(.unreadableFile, "the mask has \(size)", "up to 2 a side") {
                _ = try ImageMask(pngData: file, maximumSide: 2)
            }
        }
    }

    @Test func aCancelledTaskReadsNoImage() async throws {
        let folder = try TemporaryFolder()
        let url = folder.url.appendingPathComponent("image.png")
        try Data(SmallPNG.example.bytes).write(to: url)
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try Image(contentsOf: url)
        }
        await #expect(throws: CancellationError.self) { _ = try await task.value }
    }

    /// Nothing but the decoder looks at the bytes.
    @Test func aCancelledTaskDecodesNoImage() async throws {
        let texts = (0..<10_000).map { ("tEXt", Array("\($0)\0text".utf8)) }
        for chunks in [[], texts] {
            let png = SmallPNG(width: 1, height: 1, bits: 8, type: 0, chunks: chunks) { _, _ in [9]
            }
            let bytes = Data(png.bytes)
            let task = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return try Image(pngData: bytes)
            }
            await #expect(throws: CancellationError.self) { _ = try await task.value }
        }
    }

    // MARK: Beside the pixels

    @Test func aProfileWinsOverGamma() throws {
        typealias Chunk = (type: String, data: [UInt8])
        let gamma: Chunk = ("gAMA", SmallPNG.bigEndian(100_000))
        let profile: Chunk = ("iCCP", Array("profile\0\0".utf8) + SmallPNG.run(200))
        let winners: [Chunk] = [profile, ("sRGB", [0])]
        for winner in winners {
            let orders: [[Chunk]] = [[winner, gamma], [gamma, winner]]
            for chunks in orders {
                let png = SmallPNG(width: 256, height: 1, bits: 8, type: 0, chunks: chunks) {
                    x, _ in
                    [UInt8(x)]
                }
                let samples = try read(png.bytes).image.pixels
                #expect(samples == (0..<256).flatMap { [UInt8](repeating: UInt8($0), count: 3) })
            }
        }
    }

    @Test func damageBesideThePixelsIsReadAndNoted() throws {
        for type in ["tEXt", "zTXt", "iTXt", "tIME", "eXIf", "iCCP"] {
            let png = SmallPNG(
                width: 1, height: 1, bits: 8, type: 0,
                chunks: [("tEXt", Array("key\0value".utf8)), (type, Array("k\0v".utf8))]
            ) { _, _ in [9] }
            var bytes = png.bytes
            let chunk = try #require(bytes.firstRange(of: SmallPNG.chunk(type, Array("k\0v".utf8))))
            bytes[chunk.upperBound - 1] ^= 1
            let file = try read(bytes)
            #expect(file.image.pixels == [9, 9, 9])
            #expect(file.text == ["key": "value"])
            #expect(file.notes.count == 1)
            #expect(file.notes.first?.contains("wrong checksum in its \(type) chunk") == true)
        }
    }

    private func read(
        _ bytes: [UInt8]
    ) throws -> (image: Image, text: [String: String], notes: [String]) {
        try withFolder { folder in
            let url = folder.appendingPathComponent("image.png")
            try Data(bytes).write(to: url)
            return try Image.read(contentsOf: url)
        }
    }
}
