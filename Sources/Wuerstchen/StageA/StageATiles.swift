internal import TensorCore

/// A rectangle of positions.
struct TileRegion: Sendable, Hashable {
    var rows: Range<Int>
    var columns: Range<Int>

    /// Both sides changed alike.
    func map(_ change: (Range<Int>) -> Range<Int>) -> TileRegion {
        TileRegion(rows: change(rows), columns: change(columns))
    }

    /// The same seen from the corner of a rectangle around it.
    func relative(to outer: TileRegion) -> TileRegion {
        func shift(_ range: Range<Int>, _ start: Int) -> Range<Int> {
            range.lowerBound - start..<range.upperBound - start
        }
        return TileRegion(
            rows: shift(rows, outer.rows.lowerBound),
            columns: shift(columns, outer.columns.lowerBound))
    }

    /// The rectangle with a margin, as far as there is something around it.
    func widened(by margin: Int, within bounds: TileRegion) -> TileRegion {
        func widen(_ range: Range<Int>, _ bounds: Range<Int>) -> Range<Int> {
            max(
                range.lowerBound - margin, bounds.lowerBound)..<min(
                    range.upperBound + margin, bounds.upperBound)
        }
        return TileRegion(
            rows: widen(rows, bounds.rows), columns: widen(columns, bounds.columns))
    }

    /// Rectangles of about equal sizes that cover this one once.
    func tiles(side: Int) -> [TileRegion] {
        func cuts(_ range: Range<Int>) -> [Range<Int>] {
            let count = (range.count + side - 1) / side
            return (0..<count).map {
                range.lowerBound + range.count * $0 / count..<range.lowerBound + range.count
                    * ($0 + 1) / count
            }
        }
        return cuts(rows).flatMap { rows in
            cuts(columns).map { TileRegion(rows: rows, columns: $0) }
        }
    }
}

extension Tensor {
    /// A part of one image.
    func cropped(_ image: Int = 0, to region: TileRegion) -> Tensor {
        cropped(image, rows: region.rows, columns: region.columns)
    }
}

extension StageA {
    /// The side of the tiles that ``decode(_:tileSide:)`` works in, in positions of the latent:
    /// 1024 pixels of the published network.
    public static let standardTileSide = 256

    /// How far a pixel of the decoder sees, in positions of the latent: each block looks one
    /// position of its level around, and so does each layer between levels.
    ///
    /// Nothing in the decoder looks further, such as a norm over the whole image would. So a tile
    /// with as many positions around it has the pixels of the whole image.
    public var halo: Int {
        let levels = configuration.levels
        var halo = 0
        for level in (0..<levels).reversed() {
            // Counted in positions of the level, finest first.
            halo += level == 0 ? configuration.bottleneckBlocks : 1
            if level > 0 { halo = (halo + 1) / 2 + 1 }
        }
        return halo
    }

    /// Stage B's latents as images, decoded in tiles, so that memory does not grow with the image.
    /// The images are the same to the last bit, whatever the tiles; at the portable kernel level,
    /// where OpenBLAS rounds by the number of rows, but for a step or two of 255.
    ///
    /// - Parameters:
    ///   - latent: The latents of one image or several.
    ///   - tileSide: The side of the tiles, in positions of the latent. What has fewer positions
    ///     than a tile of that side is decoded at once.
    /// - Returns: One image for each latent of the batch.
    /// - Throws: As ``decode(_:)``; code `invalidRequest` for a side below 1.
    public func decode(_ latent: ImageLatent, tileSide: Int) throws -> [Image] {
        guard tileSide >= 1 else {
            throw WuerstchenError(
                .invalidRequest, "tiles with a side of \(tileSide); it must be at least 1")
        }
        let shape = latent.values.shape
        guard shape.rank == 4, shape.count(of: 0..<3) > tileSide.multipliedClamped(by: tileSide)
        else { return try Image.images(pixels(of: latent), madeBy: Self.maker) }
        let whole = TileRegion(rows: 0..<shape[1], columns: 0..<shape[2])
        try requireLatents(latent.values)
        return try (0..<shape[0]).map { number in
            let size = ImageSize(
                width: shape[2] * pixelsPerPosition, height: shape[1] * pixelsPerPosition)
            var canvas = [UInt8](repeating: 0, count: 3 * size.width * size.height)
            for tile in whole.tiles(side: tileSide) {
                let seen = tile.widened(by: halo, within: whole)
                let part = ImageLatent(values: latent.values.cropped(number, to: seen))
                let pixels = try pixels(of: part, tile.relative(to: seen))
                let image = try Image.images(pixels, madeBy: Self.maker)[0]
                image.copy(
                    to: &canvas, width: size.width, row: tile.rows.lowerBound * pixelsPerPosition,
                    column: tile.columns.lowerBound * pixelsPerPosition)
            }
            return try Image(width: size.width, height: size.height, pixels: canvas)
        }
    }

    static let maker = "Stage A"
}

extension Image {
    /// Copies the samples into a larger image's.
    fileprivate func copy(to canvas: inout [UInt8], width: Int, row: Int, column: Int) {
        for y in 0..<height {
            let target = 3 * ((row + y) * width + column)
            canvas.replaceSubrange(
                target..<target + 3 * self.width,
                with: pixels[3 * y * self.width..<3 * (y + 1) * self.width])
        }
    }
}

extension Int {
    fileprivate func multipliedClamped(by other: Int) -> Int {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? .max : product
    }
}
