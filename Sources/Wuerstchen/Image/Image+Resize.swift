extension Image {
    /// The whole image at another size, with bilinear interpolation.
    ///
    /// Pixels are squares with their samples at the centre, so corners stay on corners. Along a
    /// side that shrinks, the triangle filter widens with the ratio, so that every pixel counts and
    /// nothing aliases. The aspect ratio is free, and the interpolation works on the sRGB values as
    /// they are.
    ///
    /// - Parameter size: The new size, in pixels: sides of 1 to ``ImageSize/maximumSide``.
    /// - Returns: The resized image; the same image when the size is already right.
    /// - Throws: A `WuerstchenError` with code `invalidRequest` when a side is out of range.
    public func resized(to size: ImageSize) throws -> Image {
        try size.validate()
        return try resized(to: size, croppedTo: size)
    }

    /// The middle of the image at another size, of which nothing else is computed: the whole may be
    /// larger than an image can be.
    ///
    /// - Parameters:
    ///   - whole: The size that the image would have, in pixels.
    ///   - size: The size of its middle, see ``cropped(to:)``.
    /// - Returns: The middle.
    /// - Throws: A `WuerstchenError` with code `invalidRequest` when a side of `size` is out of
    ///   range.
    func resized(to whole: ImageSize, croppedTo size: ImageSize) throws -> Image {
        try size.validate()
        // The filter is separable: first along the rows, then along the columns. Samples stay
        // floating-point in between, so they are rounded only once.
        let columns = Taps.triangle(from: width, to: whole.width, middle: size.width)
        let rows = Taps.triangle(from: height, to: whole.height, middle: size.height)
        let rowLength = 3 * size.width
        // Rows of the image that none of the middle is made of are passed over.
        let (top, bottom) = (rows.first?.first ?? 0, rows.last?.end ?? 0)

        var narrowed = [Float](repeating: 0, count: rowLength * (bottom - top))
        for y in top..<bottom {
            for (x, taps) in columns.enumerated() {
                var red: Float = 0
                var green: Float = 0
                var blue: Float = 0
                var index = 3 * (y * width + taps.first)
                for weight in taps.weights {
                    red += weight * Float(pixels[index])
                    green += weight * Float(pixels[index + 1])
                    blue += weight * Float(pixels[index + 2])
                    index += 3
                }
                let target = (y - top) * rowLength + 3 * x
                narrowed[target] = red
                narrowed[target + 1] = green
                narrowed[target + 2] = blue
            }
        }

        var resized: [UInt8] = []
        resized.reserveCapacity(rowLength * size.height)
        var sums = [Float](repeating: 0, count: rowLength)
        for taps in rows {
            for index in sums.indices {
                sums[index] = 0
            }
            for (offset, weight) in taps.weights.enumerated() {
                let start = (taps.first + offset - top) * rowLength
                for index in sums.indices {
                    sums[index] += weight * narrowed[start + index]
                }
            }
            for sum in sums {
                resized.append(UInt8(min(max(sum.rounded(), 0), 255)))
            }
        }
        return try Image(width: size.width, height: size.height, pixels: resized)
    }
}

/// The source pixels that make one target pixel along one axis.
private struct Taps {
    /// The index of the first source pixel.
    let first: Int
    /// The weights of it and of those after it; they sum to 1.
    let weights: [Float]

    /// The index behind the last.
    var end: Int { first + weights.count }

    /// The taps of the target pixels in the middle for a triangle filter at half-pixel centres.
    static func triangle(from source: Int, to target: Int, middle: Int) -> [Taps] {
        let ratio = Double(source) / Double(target)
        let radius = max(ratio, 1)
        let start = (target - middle) / 2
        return (start..<start + middle).map { position in
            let centre = (Double(position) + 0.5) * ratio
            // The pixels whose centres are nearer than the radius, as far as there are any: past
            // the edges there is nothing to weigh.
            let first = max(0, Int((centre - radius - 0.5).rounded(.down)) + 1)
            let end = min(source, Int((centre + radius - 0.5).rounded(.up)))
            let weights = (first..<end).map { 1 - abs(Double($0) + 0.5 - centre) / radius }
            let sum = weights.reduce(0, +)
            return Taps(first: first, weights: weights.map { Float($0 / sum) })
        }
    }
}
