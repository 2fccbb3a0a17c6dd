import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@testable import WuerstchenTraining

@Suite struct ContactSheetTests {
    private struct Area {
        let x: Int
        let y: Int
        let width: Int
        let height: Int
        var maxX: Int { x + width }
        var maxY: Int { y + height }
    }

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

    @Test func labelsAndCaptionsAreText() throws {
        var sheet = ContactSheet(imageSide: 100, columns: 3)
        sheet.addRow(
            "a < b", [try sample(100, 80, 0), try sample(20, 10, 1)],
            captions: ["a \"house\" & more"])
        let html = try sheet.html()
        #expect(html.contains("<h3>a &lt; b</h3>"))
        #expect(html.contains("<figcaption>a &quot;house&quot; &amp; more</figcaption>"))
        #expect(html.contains("alt=\"a &quot;house&quot; &amp; more\""))
        #expect(html.components(separatedBy: "<figcaption>").count == 2, "one has no caption")
        #expect(html.contains("repeat(2,"), "no column is empty")
        #expect(html.contains("class=\"pixels\" width=\"100\" height=\"50\""))
    }

    @Test func imagesAreWithinThePage() throws {
        var sheet = ContactSheet(imageSide: 100)
        let image = try sample(40, 30, 7)
        sheet.addRow("", [image])
        let html = try sheet.html()
        let start = try #require(html.range(of: "data:image/png;base64,")).upperBound
        let data = try #require(Data(base64Encoded: String(html[start...].prefix { $0 != "\"" })))
        try withFolder { folder in
            let url = folder.appendingPathComponent("image.png")
            try data.write(to: url)
            #expect(try Image(contentsOf: url) == image)
        }
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
        var sheet = ContactSheet(title: "nothing", imageSide: -1, columns: 0)
        sheet.addRow("no images", [], captions: ["one"])
        #expect(try sheet.image().pixels.allSatisfy { $0 == 255 })
        #expect(try sheet.html().contains("<h3>no images</h3>"))
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
            let page = folder.appendingPathComponent("sheet.html")
            try sheet.write(to: page)
            let text = try String(contentsOf: page, encoding: .utf8)
            #expect(text.contains("<h1>written</h1>") && text.contains("<h3>row</h3>"))
        }
    }
}
