import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@testable import WuerstchenTraining

@Suite struct ContactSheetTests {
    /// The smallest area that holds all pixels of a colour, and how many they are.
    private func extent(
        of color: (UInt8, UInt8, UInt8), in image: Image
    ) -> (area: Area, count: Int)? {
        var (left, top, right, bottom, count) = (Int.max, Int.max, 0, 0, 0)
        for y in 0..<image.height {
            for x in 0..<image.width where image[x, y] == color {
                (left, right) = (min(left, x), max(right, x))
                (top, bottom) = (min(top, y), max(bottom, y))
                count += 1
            }
        }
        guard count > 0 else { return nil }
        return (Area(x: left, y: top, width: right - left + 1, height: bottom - top + 1), count)
    }

    private func color(_ number: Int) -> (UInt8, UInt8, UInt8) { (200, UInt8(number), 90) }

    private func sample(_ width: Int, _ height: Int, _ number: Int) throws -> Image {
        try Image.drawn(width, height) { _, _ in color(number) }
    }

    @Test func imagesStandWholeInRowsAndColumns() throws {
        var sheet = ContactSheet(title: "step 100", imageSide: 100, columns: 3)
        sheet.addRow("input", try (0..<3).map { try sample(100, 80, $0) })
        sheet.addRow("output", try (3..<6).map { try sample(100, 80, $0) })
        let image = try sheet.image()
        let areas = try (0..<6).map { number in
            let found = try #require(extent(of: color(number), in: image))
            #expect(found.area.width == 100 && found.area.height == 80)
            #expect(found.count == 8000)
            return found.area
        }
        for column in 0..<3 {
            #expect(areas[column].x == areas[column + 3].x)
            #expect(areas[column].maxY < areas[column + 3].y)
        }
        #expect(
            areas[0].y == areas[2].y && areas[0].maxX < areas[1].x && areas[1].maxX < areas[2].x)
    }

    @Test func longRowsGoOnBelow() throws {
        var sheet = ContactSheet(imageSide: 96, columns: 2)
        sheet.addRow("", try (0..<3).map { try sample(96, 96, $0) })
        let image = try sheet.image()
        let areas = try (0..<3).map { try #require(extent(of: color($0), in: image)).area }
        #expect(areas[2].x == areas[0].x && areas[2].y > areas[0].maxY)
    }

    @Test func imagesAreShownAtAboutTheSizeAskedFor() throws {
        var sheet = ContactSheet(imageSide: 100)
        sheet.addRow(
            "sizes",
            [try sample(1000, 500, 0), try sample(30, 20, 1), try sample(51, 100, 2)])
        let image = try sheet.image()
        let sizes = try (0..<3).map { try #require(extent(of: color($0), in: image)).area }
        #expect(sizes.map(\.width) == [100, 90, 51])
        #expect(sizes.map(\.height) == [50, 60, 100])
    }

    @Test func captionsAndLabelsLeaveInk() throws {
        func ink(_ label: String, _ captions: [String], title: String = "") throws -> Int {
            var sheet = ContactSheet(title: title, imageSide: 100)
            sheet.addRow(label, [try sample(100, 100, 0)], captions: captions)
            return try sheet.image().inkCount
        }
        let bare = try ink("", [])
        #expect(bare == 0)
        #expect(try ink("", ["a house"]) > 50)
        #expect(try ink("label", []) > 50)
        #expect(try ink("", [], title: "title") > 50)
        #expect(try ink("", [" \n"]) == 0)
    }

    @Test func captionsKeepTheirLinesBelowTheImage() throws {
        var sheet = ContactSheet(imageSide: 120, captionLines: 2)
        let long = String(repeating: "many words ", count: 40)
        sheet.addRow("", [try sample(120, 50, 0), try sample(120, 50, 1)], captions: [long])
        let image = try sheet.image()
        let first = try #require(extent(of: color(0), in: image)).area
        let ink = try #require(extent(of: (40, 44, 52), in: image)).area
        #expect(ink.y > first.maxY && ink.x >= first.x && ink.maxX <= first.maxX)
        #expect(ink.height <= 2 * TextSize.small.lineHeight)
        #expect(ink.maxY < image.height)
    }

    @Test func tensorsAreClamped() throws {
        var sheet = ContactSheet(imageSide: 96)
        try sheet.addRow(
            "", Tensor.concatenating([-1, 0.5, 7].map { Tensor(repeating: $0, [1, 96, 96, 3]) }))
        let image = try sheet.image()
        #expect(try #require(extent(of: (0, 0, 0), in: image)).count == 96 * 96)
        #expect(try #require(extent(of: (128, 128, 128), in: image)).count == 96 * 96)
    }

    @Test func anEmptySheetIsAImage() throws {
        #expect(try ContactSheet().image().width > 0)
        var sheet = ContactSheet(title: "nothing", columns: 0, captionLines: -1)
        sheet.addRow("no images", [], captions: ["one"])
        #expect(try sheet.image().inkCount > 0)
    }

    @Test func aSheetThatIsTooLargeIsRefused() throws {
        var sheet = ContactSheet(columns: 1)
        sheet.addRow("", Array(repeating: try sample(100, 256, 0), count: 100))
        let error = #expect(throws: WuerstchenError.self) { try sheet.image() }
        #expect(error?.code == .invalidRequest)
    }

    @Test func sheetsAreWritten() throws {
        try withFolder { folder in
            var sheet = ContactSheet(title: "written")
            sheet.addRow("row", [try sample(100, 100, 3)])
            let url = folder.appendingPathComponent("sheet.png")
            try sheet.write(to: url)
            #expect(try Image(contentsOf: url) == sheet.image())
        }
    }
}

@Suite struct SheetTextTests {
    @Test func textIsBrokenBetweenWords() {
        #expect("a small red house".wrapped(width: 9, lines: 3) == ["a small", "red house"])
        #expect("one\n two\tthree".wrapped(width: 40, lines: 3) == ["one two three"])
        #expect("".wrapped(width: 10, lines: 3) == [])
        #expect("abcdefghij".wrapped(width: 4, lines: 3) == ["abcd", "efgh", "ij"])
        #expect("ab abcdefghij".wrapped(width: 4, lines: 9) == ["ab", "abcd", "efgh", "ij"])
    }

    @Test func whatDoesNotFitEndsInAnEllipsis() {
        #expect("one two three four".wrapped(width: 9, lines: 1) == ["one tw..."])
        #expect("aa bbb cc dd".wrapped(width: 6, lines: 1) == ["aa..."])
        #expect("one two".wrapped(width: 3, lines: 0) == [])
    }

    @Test func everyCharacterHasALetter() {
        #expect(BitmapFont.codes("Grün “×” – naïve…") == Array("Grun \"x\" - naive...".utf8))
        #expect(BitmapFont.codes("猫\u{7}🌭") == [127, 127, 127])
        var seen: Set<[Bool]> = []
        for code in UInt8(32)...127 {
            let glyph = BitmapFont.glyph(code)
            #expect(glyph.count == BitmapFont.width * BitmapFont.height)
            #expect(glyph.contains(true) == (code != 32))
            #expect(seen.insert(glyph).inserted, "\(code) looks like another letter")
        }
    }
}
