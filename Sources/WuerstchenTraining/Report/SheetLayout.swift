import Wuerstchen

/// Where everything of a contact sheet stands.
struct SheetLayout {
    /// What a row consists of.
    struct Row {
        let label: String
        let sizes: [ImageSize]
        let captions: [String]
    }

    /// A line of text and its place.
    struct Text {
        let text: String
        let x: Int
        let y: Int
        let size: TextSize
        let ink: Ink
    }

    private(set) var width = 0
    private(set) var height = 0
    private(set) var texts: [Text] = []
    /// Where the images of all rows are, one after the other.
    private(set) var places: [Area] = []
    private(set) var rules: [Area] = []

    private static let margin = 20
    private static let gap = 12
    /// A narrower cell has no room for a caption.
    private static let minimumCell = 96

    init(title: String, columns: Int, captionLines: Int, rows: [Row]) {
        let sizes = rows.flatMap(\.sizes)
        let cell = max(Self.minimumCell, sizes.map(\.width).max() ?? 0)
        let used = min(columns, max(1, rows.map(\.sizes.count).max() ?? 1))
        let captionSize: TextSize = cell >= 240 ? .large : .small
        let content = max(
            used * (cell + Self.gap) - Self.gap, TextSize.large.width(of: title),
            rows.map { TextSize.large.width(of: $0.label) }.max() ?? 0)
        width = content + 2 * Self.margin
        height = Self.margin

        if !title.isEmpty {
            add(title, .large, .text)
            height += Self.gap
        }
        for (number, row) in rows.enumerated() {
            if number > 0 || !title.isEmpty {
                rules.append(Area(x: Self.margin, y: height, width: content, height: 1))
                height += Self.gap + 1
            }
            if !row.label.isEmpty {
                add(row.label, .large, .faintText)
                height += 2
            }
            let lines = row.sizes.indices.map { index in
                index < row.captions.count
                    ? row.captions[index].wrapped(
                        width: (cell + captionSize.rawValue) / captionSize.advance,
                        lines: captionLines)
                    : []
            }
            for start in stride(from: 0, to: row.sizes.count, by: columns) {
                let part = start..<min(start + columns, row.sizes.count)
                addLine(Array(row.sizes[part]), Array(lines[part]), cell: cell, captionSize)
            }
        }
        height += Self.margin - Self.gap
    }

    /// A line of text across the sheet.
    private mutating func add(_ text: String, _ size: TextSize, _ ink: Ink) {
        texts.append(Text(text: text, x: Self.margin, y: height, size: size, ink: ink))
        height += size.lineHeight
    }

    /// Images side by side, each in the middle of its cell, and their captions.
    private mutating func addLine(
        _ sizes: [ImageSize], _ captions: [[String]], cell: Int, _ captionSize: TextSize
    ) {
        let tallest = sizes.map(\.height).max() ?? 0
        for (column, (size, caption)) in zip(sizes, captions).enumerated() {
            let left = Self.margin + column * (cell + Self.gap)
            places.append(
                Area(
                    x: left + (cell - size.width) / 2, y: height + (tallest - size.height) / 2,
                    width: size.width, height: size.height))
            for (line, text) in caption.enumerated() {
                texts.append(
                    Text(
                        text: text, x: left,
                        y: height + tallest + 8 + line * captionSize.lineHeight,
                        size: captionSize, ink: .text))
            }
        }
        let captionHeight = (captions.map(\.count).max() ?? 0) * captionSize.lineHeight
        height += tallest + (captionHeight > 0 ? captionHeight + 8 : 0) + Self.gap
    }
}
