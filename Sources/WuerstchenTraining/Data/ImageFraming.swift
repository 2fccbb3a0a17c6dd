import Wuerstchen

/// The part of an image that makes an image of another size.
struct ImageFraming {
    /// The size of the batch's images.
    let target: ImageSize
    /// The size of the part in the image's own pixels.
    let region: ImageSize
    /// How much longer a line becomes.
    let scale: Double

    /// The framing of an image for a batch size.
    init(of source: ImageSize, to target: ImageSize, for sizes: ImageFolderOptions.Sizes) {
        let cover = max(
            Double(target.width) / Double(source.width),
            Double(target.height) / Double(source.height))
        var scale = cover
        if case .crops(_, let shorterSide) = sizes {
            let wanted = shorterSide.map {
                Double($0) / Double(min(source.width, source.height))
            }
            scale = max(cover, wanted ?? 1)
        }
        func part(_ target: Int, _ source: Int) -> Int {
            min(source, max(1, Int((Double(target) / scale).rounded())))
        }
        self.scale = scale
        self.target = target
        region = ImageSize(
            width: part(target.width, source.width), height: part(target.height, source.height))
    }

    /// The part of the image, cut out before it is resized: what is cut off costs nothing.
    ///
    /// - Parameters:
    ///   - image: The image, of the size that this framing is for.
    ///   - random: Where from; nil for the middle.
    ///   - mirrors: Whether left and right change places.
    /// - Returns: An image of the target's size.
    /// - Throws: `WuerstchenError` when no image can have that size.
    func apply(
        to image: Image, random: inout ImageRandom?, mirrors: Bool
    ) throws -> Image {
        let surplus = (image.width - region.width, image.height - region.height)
        let left = random?.below(surplus.0 + 1) ?? surplus.0 / 2
        let top = random?.below(surplus.1 + 1) ?? surplus.1 / 2
        var pixels: [UInt8] = []
        pixels.reserveCapacity(3 * region.width * region.height)
        for y in top..<top + region.height {
            let start = 3 * (y * image.width + left)
            let row = image.pixels[start..<start + 3 * region.width]
            if mirrors {
                for index in stride(from: row.endIndex - 3, through: row.startIndex, by: -3) {
                    pixels += row[index..<index + 3]
                }
            } else {
                pixels += row
            }
        }
        return try Image(width: region.width, height: region.height, pixels: pixels)
            .resized(to: target)
    }
}
