import Foundation
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@Suite("Image mask") struct ImageMaskTests {
    private static func mask(_ png: SmallPNG) throws -> (ImageMask, ImageMask?) {
        let file = FileManager.default.temporaryDirectory
            .appendingPathComponent("\(UUID().uuidString).png")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data(png.bytes).write(to: file)
        let mask = try ImageMask(contentsOf: file)
        #expect(try ImageMask(pngData: Data(png.bytes)) == mask)
        return (mask, try ImageMask(transparencyOf: file))
    }

    @Test("transparent pixels of a file are the mask, and white ones of a file without any")
    func files() throws {
        let transparent = SmallPNG(width: 3, height: 1, bits: 8, type: 6) { x, _ in
            [255, 255, 255, [0, 255, 100][x]]
        }
        let (mask, transparency) = try Self.mask(transparent)
        #expect(mask == transparency)
        #expect((0..<3).map { mask.image[$0, 0].red } == [255, 0, 155])
        let opaque = SmallPNG(width: 3, height: 1, bits: 8, type: 2) { x, _ in
            [[0, 0, 0], [255, 255, 255], [128, 128, 128]][x]
        }
        let (brightness, none) = try Self.mask(opaque)
        #expect(none == nil)
        #expect((0..<3).map { brightness.image[$0, 0].green } == [0, 255, 128])
        // Colours count by their brightness, also where all pixels have an opacity of their own.
        let coloured = SmallPNG(width: 3, height: 1, bits: 8, type: 6) { x, _ in
            [[255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 255]][x]
        }
        let (colours, opacity) = try Self.mask(coloured)
        #expect(opacity == nil)
        #expect(try colours == ImageMask(Image(pngData: Data(coloured.bytes))))
        #expect((0..<3).map { colours.image[$0, 0].red } == [77, 149, 29])
        // One bit of grey, and a palette with a transparent colour.
        let bits = SmallPNG(width: 8, height: 1, bits: 1, type: 0) { x, _ in
            x == 0 ? [0b1010_0000] : []
        }
        #expect(try (0..<4).map { try Self.mask(bits).0.image[$0, 0].blue } == [255, 0, 255, 0])
        let palette = SmallPNG(
            width: 2, height: 1, bits: 8, type: 3,
            chunks: [("PLTE", [0, 0, 0, 255, 255, 255]), ("tRNS", [0])]
        ) { x, _ in [UInt8(x)] }
        #expect(try (0..<2).map { try Self.mask(palette).0.image[$0, 0].red } == [255, 0])
    }
}
