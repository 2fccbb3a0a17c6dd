public import Foundation
public import TensorCore
public import Wuerstchen

/// Images in labelled rows, with their captions: what a training step looks like at one glance.
///
/// Rows stand below each other with their columns in line, so that an input and its reconstruction
/// can be compared. Large images are shrunk to ``imageSide``; those less than half as large are
/// enlarged by a whole factor, with every pixel sharp.
public struct ContactSheet: Sendable {
    /// Some images that belong together.
    struct Row {
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
    private(set) var rows: [Row] = []

    /// A sheet without images.
    ///
    /// - Parameters:
    ///   - title: What stands above everything.
    ///   - imageSide: About how large the longer side of an image is shown, in pixels.
    ///   - columns: How many images stand side by side.
    public init(
        title: String = "", imageSide: Int = 256, columns: Int = 8
    ) {
        self.title = title
        self.imageSide = imageSide
        self.columns = columns
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
    /// - Throws: `WuerstchenError` when an image cannot have the size.
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

    /// Writes the sheet, whole or not at all: as a page with its labels and captions when the name
    /// ends in ".html", otherwise as a PNG file of the images alone.
    ///
    /// - Parameter url: Where the file goes, in a folder that exists.
    /// - Throws: The errors of ``image()`` and of `Image.write(to:text:)`.
    public func write(to url: URL) throws {
        if url.pathExtension.lowercased() == "html" {
            try HTMLPage(title: title, body: html()).write(to: url)
        } else {
            try image().write(to: url, text: [Image.software])
        }
    }
}
