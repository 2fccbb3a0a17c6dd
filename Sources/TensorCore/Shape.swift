/// The lengths of a tensor's axes, outermost first; at most eight of them, held without allocation.
///
/// Images, latents and feature maps are *channels-last*: `[batch, height, width, channels]`.
/// Sequences are `[batch, positions, channels]`.
public struct Shape: Hashable, Sendable, CustomStringConvertible, ExpressibleByArrayLiteral {
    /// The largest number of axes.
    public static let maximumRank = 8

    private var lengths: SIMD8<Int>
    /// The number of axes; 0 for a scalar.
    public let rank: Int

    /// A shape from the lengths of its axes.
    ///
    /// - Precondition: There are at most ``maximumRank`` lengths, none of them negative.
    public init(_ lengths: [Int]) {
        precondition(lengths.count <= Shape.maximumRank, "a tensor has at most 8 axes: \(lengths)")
        precondition(lengths.allSatisfy { $0 >= 0 }, "an axis has a negative length: \(lengths)")
        self.lengths = .zero
        rank = lengths.count
        for (axis, length) in lengths.enumerated() {
            self.lengths[axis] = length
        }
    }

    /// A shape from the lengths of its axes.
    public init(arrayLiteral lengths: Int...) {
        self.init(lengths)
    }

    /// The length of an axis; negative axes count from the innermost, which is −1.
    public subscript(axis: Int) -> Int {
        let axis = axis < 0 ? rank + axis : axis
        precondition((0..<rank).contains(axis), "axis \(axis) of a shape with \(rank) axes")
        return lengths[axis]
    }

    /// The lengths of all axes.
    public var array: [Int] { (0..<rank).map { lengths[$0] } }

    /// The number of elements.
    public var count: Int { count(of: 0..<rank) }

    /// The number of elements that the given axes span.
    public func count(of axes: Range<Int>) -> Int {
        var product = 1
        for axis in axes { product *= lengths[axis] }
        return product
    }

    /// The length of the innermost axis: the channels of a feature map. 1 for a scalar.
    public var channels: Int { rank == 0 ? 1 : lengths[rank - 1] }

    /// The same shape with another innermost length.
    public func withChannels(_ channels: Int) -> Shape {
        Shape(array.dropLast() + [channels])
    }

    /// The lengths in brackets, as in `[1, 24, 24, 16]`.
    public var description: String { "\(array)" }
}
