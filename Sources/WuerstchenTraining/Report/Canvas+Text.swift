/// How large text is drawn.
enum TextSize: Int {
    case small = 1
    case large = 2

    /// From one letter to the next, in pixels.
    var advance: Int { BitmapFont.advance * rawValue }
    /// The height of capitals, in pixels.
    var capitalHeight: Int { BitmapFont.capitalHeight * rawValue }
    /// From one line to the next, in pixels.
    var lineHeight: Int { (BitmapFont.height + 2) * rawValue }

    /// The width of a line of text, in pixels.
    func width(of text: String) -> Int {
        let count = BitmapFont.codes(text).count
        return count == 0 ? 0 : count * advance - rawValue
    }
}

extension Canvas {
    /// Which end of a text its place is at.
    enum Alignment {
        case left, center, right
    }

    /// A line of text; the place is the top of its capitals.
    mutating func text(
        _ text: String, x: Int, y: Int, _ size: TextSize, _ ink: Ink, _ alignment: Alignment = .left
    ) {
        var left = x
        switch alignment {
        case .left: break
        case .center: left -= size.width(of: text) / 2
        case .right: left -= size.width(of: text)
        }
        let rowLength = BitmapFont.width * size.rawValue
        for code in BitmapFont.codes(text) {
            let glyph =
                size == .small ? BitmapFont.glyph(code) : BitmapFont.doubledGlyph(code)
            for (index, isSet) in glyph.enumerated() where isSet {
                let (column, row) = (left + index % rowLength, y + index / rowLength)
                if (0..<width).contains(column), (0..<height).contains(row) {
                    blend(column, row, ink, 1)
                }
            }
            left += size.advance
        }
    }
}

extension String {
    /// The text broken into lines, between words where it can be; the last line ends in an ellipsis
    /// when there is more.
    ///
    /// - Parameters:
    ///   - width: How many letters fit a line.
    ///   - limit: How many lines there may be.
    /// - Returns: The lines, in the letters that can be drawn.
    func wrapped(width: Int, lines limit: Int) -> [String] {
        let width = max(4, width)
        var lines: [String] = []
        var line: [UInt8] = []
        for word in BitmapFont.codes(self).split(separator: 32) {
            var word = word[...]
            if !line.isEmpty, line.count + 1 + word.count > width {
                lines.append(String(decoding: line, as: UTF8.self))
                line = []
            }
            while word.count > width {
                lines.append(String(decoding: word.prefix(width), as: UTF8.self))
                word = word.dropFirst(width)
            }
            line += (line.isEmpty ? [] : [32]) + word
        }
        if !line.isEmpty { lines.append(String(decoding: line, as: UTF8.self)) }
        guard lines.count > limit else { return lines }
        guard limit > 0 else { return [] }
        var last = lines[limit - 1].prefix(width - 3)
        if last.last == " " { last.removeLast() }
        lines[limit - 1] = last + "..."
        return Array(lines.prefix(limit))
    }
}
