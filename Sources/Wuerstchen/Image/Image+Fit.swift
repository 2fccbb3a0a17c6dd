import TensorCore

extension Image {
    /// The image at a size: resized until it covers it, in its own aspect ratio, then cut out of
    /// the middle.
    ///
    /// - Parameter size: The size, in pixels.
    /// - Returns: The image; the same where it has the size already.
    /// - Throws: A `WuerstchenError` with code `invalidRequest` when a side is out of range.
    public func fitted(to size: ImageSize) throws -> Image {
        guard self.size != size else { return self }
        try size.validate()
        let scale = max(
            Double(size.width) / Double(width), Double(size.height) / Double(height))
        func side(_ own: Int, _ wanted: Int) -> Int {
            max(wanted, Int((Double(own) * scale).rounded()))
        }
        return try resized(
            to: ImageSize(width: side(width, size.width), height: side(height, size.height)),
            croppedTo: size)
    }

    /// The image in the middle of a larger one, with its edges repeated around it: the inverse of
    /// ``cropped(to:)``.
    func padded(to size: ImageSize) throws -> Image {
        guard self.size != size else { return self }
        let (left, top) = ((size.width - width) / 2, (size.height - height) / 2)
        var padded: [UInt8] = []
        padded.reserveCapacity(3 * size.width * size.height)
        for y in 0..<size.height {
            let row = min(max(y - top, 0), height - 1) * width
            for x in 0..<size.width {
                let index = 3 * (row + min(max(x - left, 0), width - 1))
                padded += pixels[index..<index + 3]
            }
        }
        return try Image(width: size.width, height: size.height, pixels: padded)
    }
}
