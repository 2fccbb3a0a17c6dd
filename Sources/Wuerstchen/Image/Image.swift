import TensorCore

/// An image of 8-bit red, green and blue samples in the sRGB colour space.
public struct Image: Sendable, Hashable {
    /// The number of columns, in pixels: 1 to ``ImageSize/maximumSide``.
    public let width: Int
    /// The number of rows, in pixels: 1 to ``ImageSize/maximumSide``.
    public let height: Int
    /// The samples, 0 to 255: red, green and blue of each pixel, row by row from top to bottom,
    /// each row from left to right, without padding.
    public let pixels: [UInt8]

    /// An image of the given samples.
    ///
    /// - Parameters:
    ///   - width: The number of columns, in pixels: 1 to ``ImageSize/maximumSide``.
    ///   - height: The number of rows, in pixels: 1 to ``ImageSize/maximumSide``.
    ///   - pixels: `3 * width * height` samples, in the order of ``pixels``.
    /// - Throws: A `WuerstchenError` with code `invalidRequest` when a side is out of range or the
    ///   number of samples does not match.
    public init(width: Int, height: Int, pixels: [UInt8]) throws {
        let size = ImageSize(width: width, height: height)
        try size.validate()
        guard pixels.count == 3 * width * height else {
            throw WuerstchenError(
                .invalidRequest,
                "an image of \(size) pixels takes \(3 * width * height) samples, not "
                    + "\(pixels.count); give red, green and blue for every pixel")
        }
        self.width = width
        self.height = height
        self.pixels = pixels
        // It is kept or it is not; then another takes its place.
        MemoryMeter.current?.add(pixels.count)
    }

    /// The width and height, in pixels.
    public var size: ImageSize {
        ImageSize(width: width, height: height)
    }

    /// The samples of one pixel, 0 to 255 each.
    ///
    /// - Parameters:
    ///   - x: The column, from 0 at the left; it must be less than ``width``.
    ///   - y: The row, from 0 at the top; it must be less than ``height``.
    public subscript(x: Int, y: Int) -> (red: UInt8, green: UInt8, blue: UInt8) {
        precondition(
            x >= 0 && x < width && y >= 0 && y < height,
            "pixel (\(x), \(y)) is outside an image of \(size) pixels")
        let index = 3 * (y * width + x)
        return (pixels[index], pixels[index + 1], pixels[index + 2])
    }

    /// The middle of the image.
    ///
    /// When an odd number of columns or rows is cut, the right or the bottom loses one more than
    /// the left or the top.
    ///
    /// - Parameter size: The size to cut out, in pixels; at most this image's.
    /// - Returns: The pixels of the middle, unchanged.
    /// - Throws: A `WuerstchenError` with code `invalidRequest` when a side is less than 1 or more
    ///   than this image's.
    public func cropped(to size: ImageSize) throws -> Image {
        try size.validate()
        guard size.width <= width && size.height <= height else {
            throw WuerstchenError(
                .invalidRequest,
                "an image of \(self.size) pixels cannot be cropped to \(size); "
                    + "resize it first or choose a smaller size")
        }
        let left = (width - size.width) / 2
        let top = (height - size.height) / 2
        var cropped: [UInt8] = []
        cropped.reserveCapacity(3 * size.width * size.height)
        for y in top..<(top + size.height) {
            let start = 3 * (y * width + left)
            cropped += pixels[start..<(start + 3 * size.width)]
        }
        return try Image(width: size.width, height: size.height, pixels: cropped)
    }
}
