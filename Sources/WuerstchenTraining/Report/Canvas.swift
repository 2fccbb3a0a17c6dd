import Foundation
import Wuerstchen

/// A colour to draw with: red, green and blue, 0 to 255.
struct Ink: Hashable {
    let red: UInt8
    let green: UInt8
    let blue: UInt8

    static let paper = Ink(red: 255, green: 255, blue: 255)
    static let text = Ink(red: 40, green: 44, blue: 52)
    static let faintText = Ink(red: 108, green: 114, blue: 126)
    static let rule = Ink(red: 226, green: 229, blue: 234)
    static let frame = Ink(red: 158, green: 164, blue: 174)

    /// Colours that stay apart for every kind of colour vision (Okabe and Ito, 2008).
    static let series = [
        Ink(red: 0, green: 114, blue: 178), Ink(red: 213, green: 94, blue: 0),
        Ink(red: 0, green: 158, blue: 115), Ink(red: 204, green: 121, blue: 167),
        Ink(red: 230, green: 159, blue: 0), Ink(red: 86, green: 180, blue: 233),
    ]
}

/// Part of a canvas, in pixels.
struct Area: Hashable {
    var x: Int
    var y: Int
    var width: Int
    var height: Int

    var maxX: Int { x + width }
    var maxY: Int { y + height }

    func intersection(_ other: Area) -> Area {
        let (left, top) = (max(x, other.x), max(y, other.y))
        return Area(
            x: left, y: top, width: max(0, min(maxX, other.maxX) - left),
            height: max(0, min(maxY, other.maxY) - top))
    }
}

/// Pixels that a report is drawn on. What lies outside is not drawn.
struct Canvas {
    let width: Int
    let height: Int
    private var pixels: [UInt8]

    /// A white canvas.
    ///
    /// - Throws: `WuerstchenError` when an image cannot have the size.
    init(width: Int, height: Int) throws {
        let sides = 1...ImageSize.maximumSide
        guard sides.contains(width), sides.contains(height) else {
            throw WuerstchenError(
                .invalidRequest,
                "a report of \(ImageSize(width: width, height: height)) pixels is too large; show "
                    + "less in it, or smaller (up to \(ImageSize.maximumSide) a side)")
        }
        self.width = width
        self.height = height
        pixels = [UInt8](repeating: 255, count: 3 * width * height)
    }

    var area: Area { Area(x: 0, y: 0, width: width, height: height) }

    /// The image drawn so far.
    func image() throws -> Image {
        try Image(width: width, height: height, pixels: pixels)
    }

    mutating func fill(_ area: Area, _ ink: Ink, opacity: Double = 1) {
        let visible = area.intersection(self.area)
        for y in visible.y..<visible.maxY {
            for x in visible.x..<visible.maxX { blend(x, y, ink, opacity) }
        }
    }

    /// The outline of an area, one pixel wide and inside it.
    mutating func frame(_ area: Area, _ ink: Ink) {
        fill(Area(x: area.x, y: area.y, width: area.width, height: 1), ink)
        fill(Area(x: area.x, y: area.maxY - 1, width: area.width, height: 1), ink)
        fill(Area(x: area.x, y: area.y, width: 1, height: area.height), ink)
        fill(Area(x: area.maxX - 1, y: area.y, width: 1, height: area.height), ink)
    }

    /// An image with its top left corner at a place.
    mutating func draw(_ image: Image, x left: Int, y top: Int) {
        let visible = Area(x: left, y: top, width: image.width, height: image.height)
            .intersection(area)
        for y in visible.y..<visible.maxY {
            let source = 3 * ((y - top) * image.width + visible.x - left)
            let target = 3 * (y * width + visible.x)
            for index in 0..<3 * visible.width {
                pixels[target + index] = image.pixels[source + index]
            }
        }
    }

    /// A line through points, smooth at its edges and drawn at once, so that it is no darker where
    /// it crosses itself. A single point becomes a dot.
    mutating func stroke(
        _ points: [(x: Double, y: Double)], width lineWidth: Double, _ ink: Ink,
        opacity: Double = 1, within clip: Area
    ) {
        let clip = clip.intersection(area)
        guard clip.width > 0, clip.height > 0, let first = points.first else { return }
        var coverage = [Float](repeating: 0, count: clip.width * clip.height)
        let reach = lineWidth / 2 + 0.5
        for (start, end) in zip([first] + points.dropLast(), points) {
            let (dx, dy) = (end.x - start.x, end.y - start.y)
            let length = dx * dx + dy * dy
            let columns = Self.span(start.x, end.x, reach, clip.x, clip.maxX)
            for y in Self.span(start.y, end.y, reach, clip.y, clip.maxY) {
                for x in columns {
                    // From the centre of the pixel to the nearest point of the segment.
                    let (px, py) = (Double(x) + 0.5 - start.x, Double(y) + 0.5 - start.y)
                    let along = length == 0 ? 0 : min(max((px * dx + py * dy) / length, 0), 1)
                    let distance = hypot(px - along * dx, py - along * dy)
                    let index = (y - clip.y) * clip.width + x - clip.x
                    coverage[index] = max(coverage[index], Float(reach - distance))
                }
            }
        }
        for (index, value) in coverage.enumerated() where value > 0 {
            blend(
                clip.x + index % clip.width, clip.y + index / clip.width, ink,
                opacity * Double(min(value, 1)))
        }
    }

    /// The pixels between two places and a little around them, as far as they are visible.
    private static func span(
        _ start: Double, _ end: Double, _ reach: Double, _ low: Int, _ high: Int
    ) -> Range<Int> {
        // Clamped as numbers: a place may be too far away for an integer.
        let first = min(max(min(start, end) - reach, Double(low)), Double(high))
        let last = min(max(max(start, end) + reach + 1, Double(low)), Double(high))
        return Int(first)..<Int(last)
    }

    mutating func blend(_ x: Int, _ y: Int, _ ink: Ink, _ opacity: Double) {
        let index = 3 * (y * width + x)
        for (channel, value) in [ink.red, ink.green, ink.blue].enumerated() {
            let under = Double(pixels[index + channel])
            let mixed = under + (Double(value) - under) * opacity
            pixels[index + channel] = UInt8(min(max(mixed.rounded(), 0), 255))
        }
    }
}
