import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@Suite struct ImageTests {
    @Test func keepsItsSamples() throws {
        let image = try Image(width: 2, height: 1, pixels: [1, 2, 3, 4, 5, 6])
        #expect(image.size == ImageSize(width: 2, height: 1))
        #expect(image[0, 0] == (1, 2, 3))
        #expect(image[1, 0] == (4, 5, 6))
    }

    @Test(arguments: [(2, 2, 11), (2, 2, 13), (0, 2, 0), (2, -1, 6), (Int.max, Int.max, 3)])
    func refusesSizesThatDoNotMatch(width: Int, height: Int, count: Int) {
        let error = failure {
            try Image(width: width, height: height, pixels: [UInt8](repeating: 0, count: count))
        }
        #expect(error?.code == .invalidRequest)
    }

    @Test func sizesDescribeAndEncodeThemselves() throws {
        let size = ImageSize(width: 1024, height: 768)
        #expect("\(size)" == "1024×768")
        let json = try JSONEncoder().encode(size)
        #expect(try JSONDecoder().decode(ImageSize.self, from: json) == size)
    }
}

@Suite struct ImageGeometryTests {
    @Test(arguments: [(2, 2, 1, 1), (2, 3, 1, 0), (1, 1, 2, 1), (5, 4, 0, 0), (4, 1, 0, 1)])
    func cropsTheMiddle(width: Int, height: Int, left: Int, top: Int) throws {
        let image = try pattern(5, 4)
        let cropped = try image.cropped(to: ImageSize(width: width, height: height))
        #expect(cropped.size == ImageSize(width: width, height: height))
        for y in 0..<height {
            for x in 0..<width {
                #expect(cropped[x, y] == image[x + left, y + top])
            }
        }
    }

    @Test(arguments: [(6, 4), (5, 5), (0, 4), (5, -1)])
    func cropsToNothingLargerOrEmpty(width: Int, height: Int) throws {
        let image = try pattern(5, 4)
        let error = failure { try image.cropped(to: ImageSize(width: width, height: height)) }
        #expect(error?.code == .invalidRequest)
    }

    @Test func resizingToTheSameSizeChangesNothing() throws {
        let image = try pattern(13, 7)
        #expect(try image.resized(to: image.size) == image)
    }

    @Test(arguments: [(1, 1), (3, 17), (40, 2), (29, 31)])
    func resizingKeepsAConstant(width: Int, height: Int) throws {
        for value: UInt8 in [0, 1, 127, 254, 255] {
            let pixels = [UInt8](repeating: value, count: 3 * 11 * 9)
            let resized = try Image(width: 11, height: 9, pixels: pixels)
                .resized(to: ImageSize(width: width, height: height))
            #expect(resized.size == ImageSize(width: width, height: height))
            #expect(resized.pixels.allSatisfy { $0 == value })
        }
    }

    @Test func enlargingInterpolatesBetweenPixelCentres() throws {
        let resized = try grey([0, 100]).resized(to: ImageSize(width: 4, height: 1))
        #expect(resized == (try grey([0, 25, 75, 100])))
    }

    @Test func shrinkingWeighsEveryPixel() throws {
        // The triangle of radius 2 around 1 and 3: weights 3, 3, 1 of 7 and mirrored.
        let resized = try grey([70, 0, 0, 140]).resized(to: ImageSize(width: 2, height: 1))
        #expect(resized == (try grey([30, 60])))
        // A fine checkerboard becomes even grey instead of a pattern.
        let stripes = try grey((0..<64).map { $0 % 2 == 0 ? 0 : 200 })
        let shrunk = try stripes.resized(to: ImageSize(width: 8, height: 1))
        #expect(shrunk.pixels.dropFirst(3).dropLast(3).allSatisfy { $0 == 100 })
    }

    @Test(arguments: [(0, 1), (1, -1), (ImageSize.maximumSide + 1, 1), (1, Int.max)])
    func resizesToNothingOutOfRange(width: Int, height: Int) throws {
        let image = try pattern(2, 2)
        let error = failure { try image.resized(to: ImageSize(width: width, height: height)) }
        #expect(error?.code == .invalidRequest)
    }

    private func grey(_ values: [UInt8]) throws -> Image {
        try Image(width: values.count, height: 1, pixels: values.flatMap { [$0, $0, $0] })
    }
}

@Suite struct PNGRoundTripTests {
    @Test(arguments: [(1, 1), (3, 2), (1, 257), (101, 1), (64, 64), (ImageSize.maximumSide, 1)])
    func pixelsComeBack(width: Int, height: Int) throws {
        try withFolder { folder in
            let image = try pattern(width, height)
            let url = folder.appending(path: "image.png")
            try image.write(to: url)
            #expect(try Image(contentsOf: url) == image)
        }
    }

    @Test func textComesBack() throws {
        let text = [
            (key: "prompt", value: "a wurst in space, \"35 mm\""),
            (key: "Größe", value: "größer – no, größe: é ñ ÿ"),
            (key: "latin", value: "größe é ñ ÿ"),
            (key: "lines", value: "one\ntwo\r\nthree\ttab\u{A0}"),
            (key: "emoji", value: "🐈‍⬛🌭 колбаса 香肠 e\u{301}"),
            (key: "empty", value: ""),
            (key: "long", value: String(repeating: "very long ", count: 60_000)),
            (key: "longest", value: String(repeating: "語", count: (1 << 20) / 3)),
            (key: String(repeating: "k", count: 79), value: "v"),
        ]
        try withFolder { folder in
            let url = folder.appending(path: "image.png")
            let image = try pattern(4, 3)
            try image.write(to: url, text: text)
            let file = try Image.read(contentsOf: url)
            #expect(file.image == image)
            #expect(file.text.count == text.count)
            for (key, value) in text {
                // By scalars: strings compare equal across Unicode normalisations.
                let read = try #require(file.text[key])
                #expect(Array(read.unicodeScalars) == Array(value.unicodeScalars))
            }
        }
    }

    @Test func textTakesThePlainestChunk() throws {
        try withFolder { folder in
            let url = folder.appending(path: "image.png")
            try pattern(1, 1).write(to: url, text: [("Titel", "Größe"), ("Title", "猫")])
            let bytes = try Data(contentsOf: url)
            #expect(bytes.range(of: Data("tEXtTitel\0Gr".utf8 + [0xF6, 0xDF] + "e".utf8)) != nil)
            #expect(bytes.range(of: Data("iTXtTitle\0\0\0\0\0猫".utf8)) != nil)
        }
    }

    @Test(arguments: [
        "", " x", "x ", "a  b", "a\nb", "a\0b", "a\u{A0}b", "猫", String(repeating: "k", count: 80),
    ])
    func refusesKeyword(_ keyword: String) throws {
        try refusesText(key: keyword, value: "x")
    }

    @Test(arguments: ["a\0b", String(repeating: "x", count: 1 << 20 + 1)])
    func refusesText(_ text: String) throws {
        try refusesText(key: "prompt", value: text)
    }

    private func refusesText(key: String, value: String) throws {
        try withFolder { folder in
            let url = folder.appending(path: "image.png")
            let error = failure { try pattern(1, 1).write(to: url, text: [(key, value)]) }
            #expect(error?.code == .invalidRequest)
            let found = try names(in: folder)
            #expect(found == [])
        }
    }
}

@Suite struct PNGReadingTests {
    @Test(arguments: [false, true])
    func everyColourTypeOfEightBits(interlaced: Bool) throws {
        let samples = pattern(count: 13 * 11 * 4)
        for (type, channels) in [(0, 1), (2, 3), (4, 2), (6, 4)] {
            let png = SmallPNG(width: 13, height: 11, bits: 8, type: type, interlaced: interlaced) {
                x, y in
                Array(samples[(4 * (13 * y + x))...].prefix(channels))
            }
            let image = try read(png)
            for y in 0..<11 {
                for x in 0..<13 {
                    let pixel = samples[(4 * (13 * y + x))...].prefix(channels).map(Int.init)
                    #expect(image[x, y] == expected(pixel))
                }
            }
        }
    }

    @Test(arguments: [false, true])
    func everyColourTypeOfSixteenBits(interlaced: Bool) throws {
        let samples = pattern(count: 13 * 11 * 8)
        for (type, channels) in [(0, 1), (2, 3), (4, 2), (6, 4)] {
            let png = SmallPNG(width: 13, height: 11, bits: 16, type: type, interlaced: interlaced)
            {
                x, y in
                Array(samples[(8 * (13 * y + x))...].prefix(2 * channels))
            }
            let image = try read(png)
            for y in 0..<11 {
                for x in 0..<13 {
                    let bytes = Array(samples[(8 * (13 * y + x))...].prefix(2 * channels))
                    let pixel = stride(from: 0, to: bytes.count, by: 2).map {
                        ((Int(bytes[$0]) << 8 | Int(bytes[$0 + 1])) * 255 + 32767) / 65535
                    }
                    #expect(image[x, y] == expected(pixel))
                }
            }
        }
    }

    @Test func paletteWithTransparency() throws {
        let png = SmallPNG(
            width: 3, height: 1, bits: 8, type: 3,
            chunks: [
                ("PLTE", [10, 20, 30, 40, 50, 60, 0, 0, 0]), ("tRNS", [255, 0, 128]),
            ]
        ) { x, _ in [UInt8(x)] }
        let image = try read(png)
        #expect(image.pixels == [10, 20, 30, 255, 255, 255, 127, 127, 127])
    }

    @Test func transparentColour() throws {
        let png = SmallPNG(
            width: 2, height: 1, bits: 8, type: 2, chunks: [("tRNS", [0, 7, 0, 8, 0, 9])]
        ) { x, _ in x == 0 ? [7, 8, 9] : [7, 8, 10] }
        #expect(try read(png).pixels == [255, 255, 255, 7, 8, 10])
    }

    @Test func gammaIsConvertedOnlyWhereItDiffers() throws {
        func pixels(gamma: UInt32) throws -> [UInt8] {
            let chunk = ("gAMA", SmallPNG.bigEndian(gamma))
            let png = SmallPNG(width: 256, height: 1, bits: 8, type: 0, chunks: [chunk]) { x, _ in
                [UInt8(x)]
            }
            return try read(png).pixels
        }
        let ramp = (0..<256).flatMap { [UInt8](repeating: UInt8($0), count: 3) }
        #expect(try pixels(gamma: 45455) == ramp)
        // Half the linear light is 186 or 188 in sRGB, by its gamma of 2.2 or its exact curve.
        #expect((185...189).contains(try pixels(gamma: 100_000)[3 * 128]))
    }

    @Test func textOfEveryKind() throws {
        let zlib = SmallPNG.stored(Array("größe".unicodeScalars.map { UInt8($0.value) }))
        let utf8 = SmallPNG.stored(Array("größer 猫".utf8))
        let png = SmallPNG(
            width: 1, height: 1, bits: 8, type: 0,
            chunks: [
                ("zTXt", Array("compressed\0\0".utf8) + zlib),
                ("iTXt", Array("both\0\u{1}\0de\0beide\0".utf8) + utf8),
                ("tEXt", Array("twice\0first".utf8)),
                ("tEXt", Array("twice\0second".utf8)),
                ("tEXt", Array("no separator".utf8)),
                // Not well-formed, and left out:
                ("tEXt", Array("\0no keyword".utf8)),
                ("zTXt", Array("not zlib\0\0xyz".utf8)),
                ("zTXt", Array("cut\0\0".utf8) + zlib.dropLast(6)),
                ("zTXt", Array("method\0\u{1}".utf8) + zlib),
                ("zTXt", Array("bare\0".utf8)),
                ("iTXt", Array("short\0\0".utf8)),
                ("iTXt", Array("flag\0\u{2}\0\0\0text".utf8)),
                ("iTXt", Array("bad\0\0\0\0\0".utf8) + [0xC3, 0x28]),
            ]
        ) { _, _ in [0] }
        try withFolder { folder in
            let url = folder.appending(path: "text.png")
            try Data(png.bytes).write(to: url)
            let text = try Image.read(contentsOf: url).text
            #expect(
                text == [
                    "compressed": "größe", "both": "größer 猫", "twice": "second",
                    "no separator": "",
                ])
        }
    }

    @Test func textBeyondALimitIsPassedOver() throws {
        let chunks = (0..<200).map { ("tEXt", Array("key \($0)\0value \($0)".utf8)) }
        let png = SmallPNG(width: 1, height: 1, bits: 8, type: 0, chunks: chunks) { _, _ in [9] }
        try withFolder { folder in
            let url = folder.appending(path: "text.png")
            try Data(png.bytes).write(to: url)
            let file = try Image.read(contentsOf: url)
            #expect(file.image.pixels == [9, 9, 9])
            #expect(file.text.count == 64 && file.text["key 63"] == "value 63")
        }
    }

    /// The colours that a grey, grey-alpha, RGB or RGBA pixel has in front of white.
    private func expected(_ pixel: [Int]) -> (UInt8, UInt8, UInt8) {
        let alpha = pixel.count % 2 == 0 ? pixel[pixel.count - 1] : 255
        let colours = pixel.count < 3 ? [pixel[0], pixel[0], pixel[0]] : pixel
        func blend(_ value: Int) -> UInt8 {
            UInt8((Double(255 * 255 - alpha * (255 - value)) / 255).rounded())
        }
        return (blend(colours[0]), blend(colours[1]), blend(colours[2]))
    }

    private func read(_ png: SmallPNG) throws -> Image {
        try withFolder { folder in
            let url = folder.appending(path: "small.png")
            try Data(png.bytes).write(to: url)
            return try Image(contentsOf: url)
        }
    }
}

@Suite struct PNGErrorTests {
    @Test func missingFile() throws {
        try withFolder { folder in
            let url = folder.appending(path: "absent.png")
            let error = failure { try Image(contentsOf: url) }
            #expect(error?.code == .fileNotFound)
            #expect(error?.message.contains(url.path) == true)
        }
    }

    @Test func folderInsteadOfFile() throws {
        try withFolder { folder in
            #expect(failure { try Image(contentsOf: folder) }?.code == .unreadableFile)
        }
    }

    @Test func urlOfNoFile() throws {
        let url = try #require(URL(string: "https://example.invalid/image.png"))
        #expect(failure { try Image(contentsOf: url) }?.code == .invalidRequest)
        #expect(failure { try pattern(1, 1).write(to: url) }?.code == .invalidRequest)
    }

    @Test(arguments: [
        ([], "empty"), ([0x89], "89"), (Array("GIF89a".utf8), "47 49 46 38 39 61"),
        (Array("a text file".utf8), "not a PNG, JPEG or WebP"), (SmallPNG.signature, "IEND"),
    ])
    func anotherFormat(bytes: [UInt8], words: String) throws {
        try expectMalformed(bytes, words: words)
    }

    @Test func truncationAnywhere() throws {
        let bytes = SmallPNG.example.bytes
        // Without the twelve bytes of IEND, or some of them, all pixels are there.
        for count in 0..<bytes.count - 12 {
            try expectMalformed(Array(bytes.prefix(count)))
        }
        for count in bytes.count - 12..<bytes.count {
            try expectNote("IEND", Array(bytes.prefix(count)))
        }
    }

    @Test func anyChangedByteIsNoticed() throws {
        let bytes = SmallPNG.example.bytes
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 0x10
            if index < bytes.count - 12 {
                try expectMalformed(changed)
            } else {
                try expectNote("IEND", changed)
            }
        }
        var changed = bytes
        changed[8 + 8 + 13] ^= 1
        try expectMalformed(changed, words: "IHDR: CRC error")
    }

    @Test func damageBehindValidChecksums() throws {
        func expectMalformed(_ header: [UInt8], _ data: [UInt8], words: String) throws {
            let file =
                SmallPNG.signature + SmallPNG.chunk("IHDR", header) + SmallPNG.chunk("IDAT", data)
                + SmallPNG.chunk("IEND", [])
            try self.expectMalformed(file, words: words)
        }
        let header: [UInt8] = [0, 0, 0, 2, 0, 0, 0, 2, 8, 0, 0, 0, 0]
        let data = SmallPNG.stored([0, 1, 2, 0, 3, 4])
        try expectMalformed(header, Array(data.dropLast(5)), words: "decoded")
        try expectMalformed(header, SmallPNG.stored([0, 1, 2]), words: "decoded")
        try expectMalformed(header, SmallPNG.stored([9, 1, 2, 9, 3, 4]), words: "decoded")
        try expectMalformed(header, [], words: "decoded")
        try expectMalformed(Array(header.dropLast()), data, words: "IHDR")
        // No rows, then no columns, an unknown colour type and a palette type without palette.
        for (index, value): (Int, UInt8) in [(3, 0), (7, 0), (9, 5), (9, 3)] {
            var wrong = header
            wrong[index] = value
            try expectMalformed(wrong, data, words: "decoded")
        }
    }

    @Test func sidesBeyondTheMaximum() throws {
        for (width, height) in [(16385, 1), (1, 16385), (0x7FFF_FFFF, 0x7FFF_FFFF)] {
            let header = SmallPNG.bigEndian(UInt32(width)) + SmallPNG.bigEndian(UInt32(height))
            let file =
                SmallPNG.signature + SmallPNG.chunk("IHDR", header + [8, 2, 0, 0, 0])
                + SmallPNG.chunk("IDAT", SmallPNG.stored([0])) + SmallPNG.chunk("IEND", [])
            try withFolder { folder in
                let url = folder.appending(path: "large.png")
                try Data(file).write(to: url)
                let error = failure { try Image(contentsOf: url) }
                #expect(error?.code == .unreadableFile)
                #expect(error?.message.contains("16384") == true)
            }
        }
    }

    @Test func destinationsThatCannotBeWritten() throws {
        try withFolder { folder in
            let file = folder.appending(path: "file")
            try Data("before".utf8).write(to: file)
            let image = try pattern(2, 2)
            for path in ["missing/image.png", "file/image.png", "."] {
                let url = folder.appending(path: path)
                let error = failure { try image.write(to: url) }
                #expect(error?.code == .unwritableFile)
                #expect(error?.message.contains(url.path) == true)
            }
            #expect(try names(in: folder) == ["file"])
            #expect(try Data(contentsOf: file) == Data("before".utf8))
        }
        #expect(
            failure { try pattern(1, 1).write(to: URL(filePath: "/dev/null")) }?.code
                == .unwritableFile)
    }

    @Test func aFolderWithoutPermissionKeepsItsFile() throws {
        try withFolder { folder in
            let file = folder.appending(path: "image.png")
            try Data("before".utf8).write(to: file)
            let manager = FileManager.default
            try manager.setAttributes([.posixPermissions: 0o555], ofItemAtPath: folder.path)
            defer {
                try? manager.setAttributes([.posixPermissions: 0o755], ofItemAtPath: folder.path)
            }
            // A superuser may write anywhere.
            guard !manager.isWritableFile(atPath: folder.path) else { return }
            #expect(failure { try pattern(2, 2).write(to: file) }?.code == .unwritableFile)
            #expect(try names(in: folder) == ["image.png"])
            #expect(try Data(contentsOf: file) == Data("before".utf8))
        }
    }

    @Test func writingReplacesAndFollowsLinks() throws {
        try withFolder { folder in
            let file = folder.appending(path: "image.png")
            let link = folder.appending(path: "link.png")
            try Data("before".utf8).write(to: file)
            try FileManager.default.createSymbolicLink(at: link, withDestinationURL: file)
            let image = try pattern(3, 3)
            try image.write(to: link)
            #expect(try Image(contentsOf: file) == image)
            #expect(try Image(contentsOf: link) == image)
            let type = try FileManager.default.attributesOfItem(atPath: link.path)[.type]
            #expect(type as? FileAttributeType == .typeSymbolicLink)
            #expect(try names(in: folder) == ["image.png", "link.png"])
        }
    }

    private func expectNote(_ words: String, _ bytes: [UInt8]) throws {
        try withFolder { folder in
            let url = folder.appending(path: "noted.png")
            try Data(bytes).write(to: url)
            let file = try Image.read(contentsOf: url)
            let pixels: [UInt8] = [
                0, 0, 200, 1, 0, 200, 2, 0, 200, 0, 1, 200, 1, 1, 200, 2, 1, 200,
            ]
            #expect(file.image.pixels == pixels)
            #expect(file.notes.count == 1 && file.notes[0].contains(words), "\(file.notes)")
        }
    }

    private func expectMalformed(_ bytes: [UInt8], words: String = "") throws {
        try withFolder { folder in
            let url = folder.appending(path: "broken.png")
            try Data(bytes).write(to: url)
            let error = failure { try Image(contentsOf: url) }
            #expect(error?.code == .malformedFile)
            #expect(error?.message.hasPrefix(url.path) == true)
            #expect(words.isEmpty || error?.message.contains(words) == true)
        }
    }
}

// MARK: - Helpers

/// The error that the body throws, when it is one of the package.
private func failure(_ body: () throws -> some Any) -> WuerstchenError? {
    do {
        _ = try body()
        return nil
    } catch {
        return error as? WuerstchenError
    }
}

/// Lends an empty temporary folder.
private func withFolder<Result>(_ body: (URL) throws -> Result) throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appending(
        path: "ImageTests-\(UUID().uuidString)", directoryHint: .isDirectory)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder)
}

/// The names of everything in a folder, hidden or not.
private func names(in folder: URL) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
}

/// Samples without a visible order, the same each time.
private func pattern(count: Int) -> [UInt8] {
    var state: UInt32 = 1
    return (0..<count).map { _ in
        state = state &* 1_664_525 &+ 1_013_904_223
        return UInt8(state >> 24)
    }
}

private func pattern(_ width: Int, _ height: Int) throws -> Image {
    try Image(width: width, height: height, pixels: pattern(count: 3 * width * height))
}
