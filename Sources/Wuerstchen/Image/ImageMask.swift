public import Foundation
internal import TensorCore

/// Which pixels of an image are made anew.
public struct ImageMask: Sendable, Hashable {
    /// The mask as a grey image: white where pixels are made anew, black where they stay. Grey is a
    /// strength: the darker, the nearer to the image.
    public let image: Image

    /// The width and height, in pixels.
    public var size: ImageSize { image.size }

    /// Whether no pixel is made anew.
    public var isEmpty: Bool {
        !stride(from: 0, to: image.pixels.count, by: 3).contains { image.pixels[$0] > 0 }
    }

    /// A mask from the brightness of an image.
    ///
    /// - Parameter image: White where pixels are made anew, black where they stay, grey for a
    ///   strength between.
    /// - Throws: The errors of ``Image/init(width:height:pixels:)``.
    public init(_ image: Image) throws {
        var grey: [UInt8] = []
        grey.reserveCapacity(image.pixels.count)
        for index in stride(from: 0, to: image.pixels.count, by: 3) {
            let brightness = RGBASamples.brightness(
                image.pixels[index], image.pixels[index + 1], image.pixels[index + 2])
            grey += [brightness, brightness, brightness]
        }
        self.init(grey: try Image(width: image.width, height: image.height, pixels: grey))
    }

    /// A rectangle of an image that is made anew.
    ///
    /// - Parameters:
    ///   - size: The image's size in pixels.
    ///   - columns: The rectangle's columns.
    ///   - rows: The rectangle's rows.
    /// - Throws: A `WuerstchenError` with code `invalidRequest` for a size that no image has.
    public init(
        _ size: ImageSize, columns: Range<Int>, rows: Range<Int>
    ) throws {
        try size.validate()
        var pixels: [UInt8] = []
        for y in 0..<size.height {
            for x in 0..<size.width {
                let sample: UInt8 = columns.contains(x) && rows.contains(y) ? 255 : 0
                pixels += [sample, sample, sample]
            }
        }
        self.init(grey: try Image(width: size.width, height: size.height, pixels: pixels))
    }

    private init(grey: Image) {
        image = grey
    }

    /// A mask from an image file of any kind: its transparent pixels are made anew, or, in a file
    /// without any, its white ones.
    ///
    /// - Parameter url: The file.
    /// - Throws: The errors of ``Image/init(contentsOf:)``.
    public init(contentsOf url: URL) throws {
        try self.init(samples: Image.maskSamples(contentsOf: url))
    }

    /// A mask from the bytes of a PNG file, read as ``init(contentsOf:)`` reads a file.
    ///
    /// - Parameters:
    ///   - pngData: The bytes.
    ///   - name: What messages call them.
    ///   - maximumSide: The longest side that is read, in pixels.
    /// - Throws: The errors of ``Image/init(pngData:name:maximumSide:)``.
    public init(
        pngData: Data, name: String = "the mask", maximumSide: Int = ImageSize.maximumSide
    ) throws {
        try self.init(
            samples: Image.maskSamples(pngData: pngData, name: name, maximumSide: maximumSide))
    }

    /// The transparent pixels of a PNG file as what is made anew; nil if it has none.
    ///
    /// - Parameter url: The file.
    /// - Throws: The errors of ``Image/init(contentsOf:)``.
    public init?(transparencyOf url: URL) throws {
        let samples = try Image.maskSamples(contentsOf: url)
        guard Self.isTransparent(samples) else { return nil }
        try self.init(samples: samples)
    }

    private init(samples: Image) throws {
        let showsTransparency = Self.isTransparent(samples)
        var grey: [UInt8] = []
        grey.reserveCapacity(samples.pixels.count)
        for index in stride(from: 0, to: samples.pixels.count, by: 3) {
            let sample =
                showsTransparency ? 255 - samples.pixels[index] : samples.pixels[index + 1]
            grey += [sample, sample, sample]
        }
        self.init(grey: try Image(width: samples.width, height: samples.height, pixels: grey))
    }

    private static func isTransparent(_ samples: Image) -> Bool {
        stride(from: 0, to: samples.pixels.count, by: 3).contains { samples.pixels[$0] < 255 }
    }

    func fitted(to size: ImageSize) throws -> ImageMask {
        ImageMask(grey: try image.fitted(to: size))
    }

    func padded(to size: ImageSize) throws -> ImageMask {
        ImageMask(grey: try image.padded(to: size))
    }

    /// The mask for latents, `[1, rows, columns, 1]`: a position is made anew as far as any of its
    /// pixels is.
    func tensor(rows: Int, columns: Int) -> Tensor {
        func span(_ index: Int, _ count: Int, _ side: Int) -> Range<Int> {
            let first = index * side / count
            return first..<max(first + 1, ((index + 1) * side + count - 1) / count)
        }
        var values: [Float] = []
        for row in 0..<rows {
            let lines = span(row, rows, image.height)
            for column in 0..<columns {
                var most: UInt8 = 0
                for y in lines {
                    for x in span(column, columns, image.width) {
                        most = max(most, image.pixels[3 * (y * image.width + x)])
                    }
                }
                values.append(Float(most) / 255)
            }
        }
        return Tensor(values, [1, rows, columns, 1])
    }

    /// How far each pixel is replaced, from 0 to 1: 0 everywhere outside the mask, rising within it
    /// over the width of a seam, or half of the mask's own where it is narrower. What is at least
    /// half grey is replaced whole, for its latents are between the image's and new ones already.
    func weights(seam: Int) -> [Float] {
        let (width, height) = (image.width, image.height)
        let far = Int32.max / 2
        // Distances to the nearest pixel outside, in thirds: 3 to a neighbour, 4 across a corner.
        var distance = (0..<width * height).map { image.pixels[3 * $0] == 0 ? 0 : far }
        func relax(_ x: Int, _ y: Int, _ from: [(x: Int, y: Int, cost: Int32)]) {
            let index = y * width + x
            for step in from {
                let (otherX, otherY) = (x + step.x, y + step.y)
                guard otherX >= 0, otherX < width, otherY >= 0, otherY < height else { continue }
                distance[index] = min(
                    distance[index], distance[otherY * width + otherX] + step.cost)
            }
        }
        let before: [(x: Int, y: Int, cost: Int32)] = [
            (-1, 0, 3), (-1, -1, 4), (0, -1, 3), (1, -1, 4),
        ]
        let after = before.map { (x: -$0.x, y: -$0.y, cost: $0.cost) }
        for y in 0..<height {
            for x in 0..<width { relax(x, y, before) }
        }
        for y in (0..<height).reversed() {
            for x in (0..<width).reversed() { relax(x, y, after) }
        }
        let widest = max(3, distance.max() ?? 3)
        let full = Float(min(3 * (Int32(clamping: max(0, seam)) + 1), widest))
        return distance.indices.map {
            let brightness = Float(image.pixels[3 * $0]) / 127
            return min(1, brightness) * min(1, Float(distance[$0]) / full)
        }
    }
}

extension Image {
    /// The image where a mask has nothing, another where it has all, and a soft seam between.
    func replaced(by other: Image, in mask: ImageMask, seam: Int) throws -> Image {
        var result = pixels
        for (pixel, weight) in mask.weights(seam: seam).enumerated() where weight > 0 {
            for index in 3 * pixel..<3 * pixel + 3 {
                let (own, made) = (Float(pixels[index]), Float(other.pixels[index]))
                result[index] = UInt8((own + weight * (made - own)).rounded())
            }
        }
        return try Image(width: width, height: height, pixels: result)
    }
}
