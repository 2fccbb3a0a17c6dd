public import Foundation
public import TensorCore
public import Wuerstchen

/// Images in labelled rows, with their captions below: what a training step looks like at one
/// glance.
///
/// Rows stand below each other with their columns in line, so that an input and its reconstruction
/// can be compared. Large images are shrunk to ``imageSide``; those less than half as large are
/// enlarged by a whole factor, with every pixel sharp.
public struct ContactSheet: Sendable {
    /// Some images that belong together.
    private struct Row {
        let label: String
        let images: [Image]
        let captions: [String]
    }

    /// What stands above everything; empty for nothing.
    public var title: String
    /// About how large the longer side of an image is shown, in pixels.
    public var imageSide: Int
    /// How many images stand side by side before a row goes on below.
    public var columns: Int
    /// How many lines a caption may take.
    public var captionLines: Int
    private var rows: [Row] = []

    /// A sheet without images.
    ///
    /// - Parameters:
    ///   - title: What stands above everything.
    ///   - imageSide: About how large the longer side of an image is shown, in pixels.
    ///   - columns: How many images stand side by side.
    ///   - captionLines: How many lines a caption may take.
    public init(
        title: String = "", imageSide: Int = 256, columns: Int = 8, captionLines: Int = 3
    ) {
        self.title = title
        self.imageSide = imageSide
        self.columns = columns
        self.captionLines = captionLines
    }

    /// Adds a row.
    ///
    /// - Parameters:
    ///   - label: What the images are, such as "reconstruction".
    ///   - images: The images, from left to right.
    ///   - captions: What stands below them; images without one have none.
    public mutating func addRow(
        _ label: String, _ images: [Image], captions: [String] = []
    ) {
        rows.append(Row(label: label, images: images, captions: captions))
    }

    /// Adds a row.
    ///
    /// - Parameters:
    ///   - label: What the images are, such as "reconstruction".
    ///   - images: `[batch, height, width, 3]`; values outside 0…1 are clamped.
    ///   - captions: What stands below them; images without one have none.
    /// - Throws: ``WuerstchenError`` when an image cannot have the size.
    public mutating func addRow(
        _ label: String, _ images: Tensor, captions: [String] = []
    ) throws {
        let shape = images.shape
        precondition(shape.rank == 4 && shape[3] == 3, "images of the shape \(shape)")
        let images = try (0..<shape[0]).map { index in
            try Image(
                width: shape[2], height: shape[1], pixels: images[index..<index + 1].bytes)
        }
        addRow(label, images, captions: captions)
    }

    /// The sheet as an image.
    ///
    /// - Throws: ``WuerstchenError`` when the sheet would be larger than an image can be.
    public func image() throws -> Image {
        let rows = try rows.map { row in
            Row(
                label: row.label, images: try row.images.map(shown), captions: row.captions)
        }
        let layout = SheetLayout(
            title: title, columns: max(1, columns), captionLines: captionLines,
            rows: rows.map {
                SheetLayout.Row(
                    label: $0.label, sizes: $0.images.map(\.size), captions: $0.captions)
            })
        var canvas = try Canvas(width: layout.width, height: layout.height)
        for rule in layout.rules { canvas.fill(rule, .rule) }
        for text in layout.texts {
            canvas.text(text.text, x: text.x, y: text.y, text.size, text.ink)
        }
        for (image, place) in zip(rows.flatMap(\.images), layout.places) {
            // A bright image would have no edge on white.
            canvas.frame(
                Area(
                    x: place.x - 1, y: place.y - 1, width: place.width + 2,
                    height: place.height + 2), .rule)
            canvas.draw(image, x: place.x, y: place.y)
        }
        return try canvas.image()
    }

    /// Writes the sheet as a PNG file, whole or not at all.
    ///
    /// - Parameter url: Where the file goes, in a folder that exists.
    /// - Throws: The errors of ``image()`` and of `Image.write(to:text:)`.
    public func write(to url: URL) throws {
        try image().write(to: url)
    }

    /// An image at about the size wanted.
    private func shown(_ image: Image) throws -> Image {
        let side = max(image.width, image.height)
        let wanted = max(1, imageSide)
        if side > wanted {
            let scale = Double(wanted) / Double(side)
            return try image.resized(
                to: ImageSize(
                    width: max(1, Int((Double(image.width) * scale).rounded())),
                    height: max(1, Int((Double(image.height) * scale).rounded()))))
        }
        return try image.magnified(wanted / side)
    }
}

extension Image {
    /// The image with each pixel as a square.
    fileprivate func magnified(_ factor: Int) throws -> Image {
        guard factor > 1 else { return self }
        var magnified: [UInt8] = []
        magnified.reserveCapacity(pixels.count * factor * factor)
        for y in 0..<height {
            var row: [UInt8] = []
            for index in stride(from: 3 * y * width, to: 3 * (y + 1) * width, by: 3) {
                for _ in 0..<factor { row += pixels[index..<index + 3] }
            }
            for _ in 0..<factor { magnified += row }
        }
        return try Image(width: width * factor, height: height * factor, pixels: magnified)
    }
}
