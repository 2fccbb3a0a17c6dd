internal import TensorCore

/// An image as what is written to a terminal.
public struct TerminalImage: Sendable, Hashable {
    /// The lines of characters that it takes.
    public let rows: Int
    /// Text and control sequences, to be written at the beginning of a line. They end at the
    /// beginning of the line below the image, with the terminal's own colours.
    public let text: String

    /// An image in an area.
    ///
    /// - Parameters:
    ///   - image: The image, which is resized as a whole to fit into the area.
    ///   - graphics: How the terminal shows images.
    ///   - area: The room for it.
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` for an area without room.
    public init(
        _ image: Image, as graphics: TerminalGraphics, in area: TerminalArea
    ) throws {
        guard area.columns > 0, area.rows > 0, area.cell.width > 0, area.cell.height > 0 else {
            throw WuerstchenError(
                .invalidRequest,
                "an area of \(area.columns) columns and \(area.rows) lines, \(area.cell) pixels "
                    + "each, has no room for an image")
        }
        switch graphics {
        case .halfBlocks:
            // A character is about twice as high as it is wide.
            let pixels = ImageSize(width: area.columns, height: 2 * area.rows)
            self.init(halfBlocks: try image.resized(to: area.size(of: image, in: pixels)))
        case .kitty, .sixel:
            let pixels = ImageSize(
                width: area.columns * area.cell.width, height: area.rows * area.cell.height)
            // Sixels are not enlarged: their number is what they cost.
            let size = area.size(of: image, in: pixels, enlarging: graphics == .sixel ? 1 : 2)
            let rows = (size.height + area.cell.height - 1) / area.cell.height
            if graphics == .sixel {
                self.init(rows: rows, sixel: try image.resized(to: size))
            } else {
                // The terminal does the enlarging.
                let sent = size.width > image.width ? image : try image.resized(to: size)
                let columns = (size.width + area.cell.width - 1) / area.cell.width
                self.init(kitty: sent, rows: rows, columns: columns)
            }
        }
    }

    /// What is written to draw another image over this one, of as many rows: a way back up.
    public var wayBack: String { "\u{1B}[\(rows)A\r" }

    init(rows: Int, text: String) {
        self.rows = rows
        self.text = text
    }

    /// Two pixels to a character: the upper one in the colour of `▀`, the lower one behind it.
    /// Colours are said only where they change.
    private init(halfBlocks image: Image) {
        // Bytes rather than strings: this must take no time that anybody notices.
        let numbers = (0..<256).map { Array("\($0)".utf8) }
        let (escape, block) = (Array("\u{1B}[".utf8), Array("▀".utf8))
        let (upperHalf, lowerHalf, none) = (
            Array("38;2;".utf8), Array("48;2;".utf8), Array("49".utf8)
        )
        let end = Array("\u{1B}[0m\u{1B}[K\r\n".utf8)
        let (semicolon, m) = (UInt8(ascii: ";"), UInt8(ascii: "m"))
        var text: [UInt8] = []
        text.reserveCapacity(24 * image.width * image.height)
        func say(_ color: Int) {
            text += numbers[color >> 16]
            text.append(semicolon)
            text += numbers[color >> 8 & 255]
            text.append(semicolon)
            text += numbers[color & 255]
        }
        func color(_ x: Int, _ y: Int) -> Int {
            guard y < image.height else { return -1 }
            let index = 3 * (y * image.width + x)
            return Int(image.pixels[index]) << 16 | Int(image.pixels[index + 1]) << 8
                | Int(image.pixels[index + 2])
        }
        for y in stride(from: 0, to: image.height, by: 2) {
            // No color, so that a line says both at its beginning.
            var (upper, lower) = (-2, -2)
            for x in 0..<image.width {
                let (above, below) = (color(x, y), color(x, y + 1))
                if above != upper || below != lower {
                    text += escape
                    if above != upper {
                        text += upperHalf
                        say(above)
                    }
                    if above != upper && below != lower { text.append(semicolon) }
                    if below != lower {
                        if below < 0 {
                            text += none
                        } else {
                            text += lowerHalf
                            say(below)
                        }
                    }
                    text.append(m)
                }
                text += block
                (upper, lower) = (above, below)
            }
            text += end
        }
        self.init(rows: (image.height + 1) / 2, text: String(decoding: text, as: UTF8.self))
    }
}
