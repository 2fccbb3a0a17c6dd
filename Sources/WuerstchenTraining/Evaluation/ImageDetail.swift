private import Foundation
public import TensorCore

/// How sharp images are and how their patches are distributed, by measures that involve no network.
///
/// A classifier is content with smudges of the right colour. Edges, the Laplacian and the sliced
/// Wasserstein distance of patches (Rabin et al., "Wasserstein Barycenter and Its Application to
/// Texture Mixing", 2011; on a Laplacian pyramid as in Karras et al., "Progressive Growing of
/// GANs", 2018) are not.
public struct ImageDetail: Sendable {
    /// The levels of the Laplacian pyramid: at 256×256 their sides are 256, 128, 64 and 32.
    public static let levels = 4
    /// The side of the smallest image that has all levels and a patch on each.
    public static let smallestSide = (patchSide + 1) << (levels - 1)

    private static let patchSide = 7
    private static let patchesPerImage = 64
    private static let directions = 512

    private var edgeSum = 0.0
    private var laplacianSum = 0.0
    private var patches: [[Float]] = Array(repeating: [], count: ImageDetail.levels)
    private var random: RandomStream

    /// How many images were measured.
    public private(set) var count = 0

    /// Nothing measured yet.
    ///
    /// - Parameter seed: Decides which patches are taken.
    public init(seed: UInt64 = 0) {
        random = RandomStream(seed: seed, name: "patches")
    }

    /// Measures a batch.
    ///
    /// - Parameter pixels: `[batch, height, width, 3]`, 0…1.
    /// - Throws: `WuerstchenError` with code `invalidRequest` for sides below
    ///   ``ImageDetail/smallestSide``.
    public mutating func add(_ pixels: Tensor) throws {
        guard min(pixels.shape[1], pixels.shape[2]) >= ImageDetail.smallestSide else {
            throw WuerstchenError(
                .invalidRequest,
                "patches of images \(pixels.shape[2])×\(pixels.shape[1]) cannot be measured; the "
                    + "sides must be \(ImageDetail.smallestSide) pixels or more")
        }
        for image in 0..<pixels.shape[0] {
            let planes = ImagePlanes(pixels[image..<image + 1])
            edgeSum += planes.edge
            laplacianSum += planes.laplacian
            count += 1
            for (level, band) in planes.pyramid(levels: ImageDetail.levels).enumerated() {
                take(patchesOf: band, level)
            }
        }
    }

    private mutating func take(patchesOf band: ImagePlanes, _ level: Int) {
        let side = ImageDetail.patchSide
        let values = band.elements
        for _ in 0..<ImageDetail.patchesPerImage {
            let y = random.integer(below: band.height - side + 1)
            let x = random.integer(below: band.width - side + 1)
            for channel in 0..<band.channels {
                for row in y..<y + side {
                    let first = (channel * band.height + row) * band.width + x
                    patches[level] += values[first..<first + side]
                }
            }
        }
    }

    /// The mean over images of the 99th percentile of the gradient's length, over the three
    /// channels.
    public var edges: Double { edgeSum / Double(max(1, count)) }

    /// The mean absolute Laplacian.
    public var laplacian: Double { laplacianSum / Double(max(1, count)) }

    /// The sliced Wasserstein distance of patches on each level, from fine to coarse, times 1000.
    ///
    /// Of two sets of the same kind it is not 0: two sets of 300 images are some 20 apart.
    public func patchDistances(to other: ImageDetail) -> [Double] {
        let width = 3 * ImageDetail.patchSide * ImageDetail.patchSide
        return (0..<ImageDetail.levels).map { level in
            let rows = min(patches[level].count, other.patches[level].count) / width
            guard rows > 1 else { return 0 }
            var random = RandomStream(seed: UInt64(level), name: "directions")
            let directions = PackedWeight(
                plain: unitRows(random.normal([ImageDetail.directions, width])))
            let sorted = [patches[level], other.patches[level]].map {
                sortedProjections(normalized($0, rows: rows), onto: directions)
            }
            let difference = zip(sorted[0], sorted[1]).reduce(0.0) { sum, column in
                zip(column.0, column.1).reduce(sum) { $0 + Double(abs($1.0 - $1.1)) }
            }
            return 1000 * difference / Double(rows * ImageDetail.directions)
        }
    }

    /// The first patches with mean 0 and deviation 1 in each channel over all of them,
    /// `[rows, 147]`.
    private func normalized(_ values: [Float], rows: Int) -> Tensor {
        let area = ImageDetail.patchSide * ImageDetail.patchSide
        var result = Array(values.prefix(rows * 3 * area))
        let all = values.count / (3 * area)
        for channel in 0..<3 {
            var (sum, squares) = (0.0, 0.0)
            for row in 0..<all {
                for index in 0..<area {
                    let value = Double(values[(row * 3 + channel) * area + index])
                    sum += value
                    squares += value * value
                }
            }
            let mean = sum / Double(all * area)
            let deviation = max(1e-8, (squares / Double(all * area) - mean * mean).squareRoot())
            for row in 0..<rows {
                for index in 0..<area {
                    let place = (row * 3 + channel) * area + index
                    result[place] = Float((Double(result[place]) - mean) / deviation)
                }
            }
        }
        return Tensor(result, [rows, 3 * area])
    }
}

extension ImagePlanes {
    /// The 99th percentile of the gradient's length, over the channels.
    fileprivate var edge: Double {
        let across = filtered(.trimmed(height, last: 1), .difference(width)).squares
        let down = filtered(.difference(height), .trimmed(width, last: 1)).squares
        let lengths = (across + down).elements.sorted()
        let place = 0.99 * Double(lengths.count - 1)
        let low = Int(place)
        let squares = (lengths[low], lengths[min(low + 1, lengths.count - 1)])
        let (first, second) = (
            Double(squares.0).squareRoot(), Double(squares.1).squareRoot()
        )
        return first + (place - Double(low)) * (second - first)
    }

    /// The mean absolute Laplacian: the sum of the second differences of both directions.
    fileprivate var laplacian: Double {
        let across = filtered(.trimmed(height, first: 1, last: 1), .secondDifference(width))
        let down = filtered(.secondDifference(height), .trimmed(width, first: 1, last: 1))
        return Double((across + down).meanAbs)
    }
}

private func unitRows(_ rows: Tensor) -> Tensor {
    let width = rows.shape[1]
    var values = rows.elements
    for row in 0..<rows.shape[0] {
        let range = row * width..<(row + 1) * width
        let length = range.reduce(Float(0)) { $0 + values[$1] * values[$1] }.squareRoot()
        for index in range { values[index] /= max(length, 1e-12) }
    }
    return Tensor(values, rows.shape)
}

/// For each direction the projections of all patches, in ascending order.
private func sortedProjections(_ patches: Tensor, onto directions: PackedWeight) -> [[Float]] {
    let projected = patches.linear(directions)
    let (rows, columns) = (projected.shape[0], projected.shape[1])
    return projected.withUnsafeElements { values in
        (0..<columns).map { column in
            (0..<rows).map { values[$0 * columns + column] }.sorted()
        }
    }
}
