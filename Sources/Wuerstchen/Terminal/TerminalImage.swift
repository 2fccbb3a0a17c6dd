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
            let size = area.size(of: image, in: pixels)
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
        func numbers(_ pixel: (red: UInt8, green: UInt8, blue: UInt8)) -> String {
            "\(pixel.red);\(pixel.green);\(pixel.blue)"
        }
        var text = ""
        for y in stride(from: 0, to: image.height, by: 2) {
            var (upper, lower) = ("", "")
            for x in 0..<image.width {
                let above = "38;2;" + numbers(image[x, y])
                let below = y + 1 < image.height ? "48;2;" + numbers(image[x, y + 1]) : "49"
                let changes = [above == upper ? nil : above, below == lower ? nil : below]
                    .compactMap(\.self)
                if !changes.isEmpty { text += "\u{1B}[\(changes.joined(separator: ";"))m" }
                text += "▀"
                (upper, lower) = (above, below)
            }
            text += "\u{1B}[0m\u{1B}[K\r\n"
        }
        self.init(rows: (image.height + 1) / 2, text: text)
    }
}
