import Foundation
public import Wuerstchen

/// A few sizes of about equal area and different aspect ratios.
///
/// The images of a batch have one size. With only a square to choose from, a landscape loses its
/// sides and a portrait its feet; each image goes to the size nearest to its own shape instead.
public struct AspectBuckets: Sendable, Hashable {
    /// No size has more pixels than a square of this side.
    public var side: Int
    /// What the sides are multiples of: 128 for the whole cascade, 4 for Stage A alone.
    public var multiple: Int
    /// The longest side over the shortest, at most.
    public var maximumRatio: Double

    /// Sizes with at most the area of a square.
    ///
    /// - Parameters:
    ///   - side: The side of the square, in pixels.
    ///   - multiple: What the sides are multiples of.
    ///   - maximumRatio: The longest side over the shortest, at most.
    public init(side: Int, multiple: Int = 128, maximumRatio: Double = 2) {
        self.side = side
        self.multiple = multiple
        self.maximumRatio = maximumRatio
    }

    /// The sizes, from the narrowest to the widest. Neither side of one can grow without the other
    /// shrinking.
    public var sizes: [ImageSize] {
        guard multiple > 0, side >= multiple, side <= ImageSize.maximumSide, maximumRatio >= 1
        else { return [] }
        let area = side * side / (multiple * multiple)
        let widest = min((Double(area) * maximumRatio).squareRoot(), Double(area))
        return (1...Int(widest)).compactMap { width in
            let height = area / width
            let ratio = Double(max(width, height)) / Double(min(width, height))
            guard area / height == width, ratio <= maximumRatio else { return nil }
            return ImageSize(width: width * multiple, height: height * multiple)
        }
    }
}

extension [ImageSize] {
    /// The index of the size that cuts least off an image.
    func nearest(to size: ImageSize) -> Int? {
        func distance(_ other: ImageSize) -> Double {
            abs(log(Double(size.width * other.height) / Double(size.height * other.width)))
        }
        return indices.min { distance(self[$0]) < distance(self[$1]) }
    }
}
