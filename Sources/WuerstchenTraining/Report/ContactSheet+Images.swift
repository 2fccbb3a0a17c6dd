import Foundation
import TensorCore
public import Wuerstchen

extension ContactSheet {
    private static let gap = 8

    /// The images of the sheet in a grid on white, as one image without text.
    ///
    /// - Throws: `WuerstchenError` when the sheet would be larger than an image can be.
    public func image() throws -> Image {
        let gap = Self.gap
        let lines = try rows.flatMap { row in
            let images = try row.images.map(shown)
            return stride(from: 0, to: images.count, by: max(1, columns)).map {
                Array(images[$0..<min($0 + max(1, columns), images.count)])
            }
        }
        let cell = lines.joined().map(\.width).max() ?? 0
        let size = ImageSize(
            width: gap + (lines.map(\.count).max() ?? 0) * (cell + gap),
            height: gap + lines.reduce(0) { $0 + ($1.map(\.height).max() ?? 0) + gap })
        guard size.width <= ImageSize.maximumSide, size.height <= ImageSize.maximumSide else {
            throw WuerstchenError(
                .invalidRequest,
                "a sheet of \(size) pixels is too large; show less in it, or smaller (up to "
                    + "\(ImageSize.maximumSide) a side)")
        }
        var pixels = [UInt8](repeating: 255, count: 3 * size.width * size.height)
        var top = gap
        for line in lines {
            let height = line.map(\.height).max() ?? 0
            for (column, image) in line.enumerated() {
                let left = gap + column * (cell + gap) + (cell - image.width) / 2
                for y in 0..<image.height {
                    let row = top + (height - image.height) / 2 + y
                    let start = 3 * (row * size.width + left)
                    pixels.replaceSubrange(
                        start..<start + 3 * image.width,
                        with: image.pixels[3 * y * image.width..<3 * (y + 1) * image.width])
                }
            }
            top += height + gap
        }
        return try Image(width: size.width, height: size.height, pixels: pixels)
    }

    /// The sheet as HTML, with its labels and captions as text and its images within it.
    ///
    /// - Throws: `WuerstchenError` when an image cannot be encoded.
    func html() throws -> String {
        let used = min(max(1, columns), rows.map(\.images.count).max() ?? 1)
        return try rows.map { row in
            let figures = try row.images.enumerated().map { index, image in
                let caption = index < row.captions.count ? row.captions[index] : ""
                return try figure(image, caption)
            }
            let label = row.label.isEmpty ? "" : "<h3>\(row.label.escapedForHTML)</h3>\n"
            return label + "<div class=\"images\" style=\"grid-template-columns: "
                + "repeat(\(used), minmax(0, 1fr))\">\n" + figures.joined(separator: "\n")
                + "\n</div>"
        }.joined(separator: "\n")
    }

    private func figure(_ image: Image, _ caption: String) throws -> String {
        let side = max(image.width, image.height)
        // The browser magnifies small images, so that the page is small too.
        let factor = max(1, imageSide / side)
        let embedded = try shrunk(image)
        let text = caption.escapedForHTML
        return "<figure><img\(factor > 1 ? " class=\"pixels\"" : "") "
            + "width=\"\(embedded.width * factor)\" height=\"\(embedded.height * factor)\" "
            + "alt=\"\(text)\" src=\"data:image/png;base64,"
            + (try embedded.pngData().base64EncodedString()) + "\">"
            + (text.isEmpty ? "" : "<figcaption>\(text)</figcaption>") + "</figure>"
    }

    /// An image at about the size wanted.
    private func shown(_ image: Image) throws -> Image {
        try shrunk(image).magnified(imageSide / max(image.width, image.height))
    }

    private func shrunk(_ image: Image) throws -> Image {
        let side = max(image.width, image.height)
        let wanted = max(1, imageSide)
        guard side > wanted else { return image }
        let scale = Double(wanted) / Double(side)
        return try image.resized(
            to: ImageSize(
                width: max(1, Int((Double(image.width) * scale).rounded())),
                height: max(1, Int((Double(image.height) * scale).rounded()))))
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
