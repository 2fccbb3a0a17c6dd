internal import TensorCore

/// A linear filter along one side of an image, as a matrix `[outputs, inputs]`.
struct ImageFilter {
    private let matrix: PackedWeight

    /// A filter of so many numbers to others: which inputs an output is made of, and with which
    /// weights.
    private init(
        _ inputs: Int, to outputs: Int, taps: (Int) -> [(input: Int, weight: Float)]
    ) {
        var weights = [Float](repeating: 0, count: outputs * inputs)
        for output in 0..<outputs {
            for tap in taps(output) { weights[output * inputs + tap.input] += tap.weight }
        }
        matrix = PackedWeight(plain: Tensor(weights, [outputs, inputs]))
    }

    /// All but so many numbers at the beginning and the end.
    static func trimmed(_ count: Int, first: Int = 0, last: Int = 0) -> ImageFilter {
        ImageFilter(count, to: count - first - last) { [(input: $0 + first, weight: 1)] }
    }

    /// The difference of each number and the next.
    static func difference(_ count: Int) -> ImageFilter {
        ImageFilter(count, to: count - 1) {
            [(input: $0, weight: Float(-1)), (input: $0 + 1, weight: 1)]
        }
    }

    /// Twice each number less its two neighbours.
    static func secondDifference(_ count: Int) -> ImageFilter {
        ImageFilter(count, to: count - 2) {
            [
                (input: $0, weight: Float(-1)), (input: $0 + 1, weight: 2),
                (input: $0 + 2, weight: Float(-1)),
            ]
        }
    }

    /// Every other number after the binomial filter 1 4 6 4 1, the border mirrored.
    static func halved(_ count: Int) -> ImageFilter {
        ImageFilter(count, to: (count + 1) / 2) { output in
            zip(-2...2, [1, 4, 6, 4, 1] as [Float]).map { offset, weight in
                let place = abs(2 * output + offset)
                return (place < count ? place : 2 * count - 2 - place, weight / 16)
            }
        }
    }

    /// Bilinear enlargement.
    static func enlarged(_ count: Int, to outputs: Int) -> ImageFilter {
        ImageFilter(count, to: outputs) { output in
            let place = max(0, (Float(output) + 0.5) * Float(count) / Float(outputs) - 0.5)
            let low = min(Int(place), count - 1)
            let share = place - Float(low)
            return [(low, 1 - share), (min(low + 1, count - 1), share)]
        }
    }

    /// The filter along the last axis.
    func callAsFunction(_ x: Tensor) -> Tensor { x.linear(matrix) }
}

/// The channels of an image, one after the other.
struct ImagePlanes {
    /// `[channels, height, 1, width]`
    private let values: Tensor

    private init(values: Tensor) {
        self.values = values
    }

    /// - Parameter pixels: `[1, height, width, channels]`.
    init(_ pixels: Tensor) {
        let shape = pixels.shape
        values = pixels.channelsFirst().reshaped(to: [shape[3], shape[1], 1, shape[2]])
    }

    var height: Int { values.shape[1] }
    var width: Int { values.shape[3] }
    var channels: Int { values.shape[0] }

    /// All channels' values, row by row.
    var elements: [Float] { values.elements }

    /// A filter from top to bottom, and another from left to right.
    func filtered(_ rows: ImageFilter, _ columns: ImageFilter) -> ImagePlanes {
        // The rows become the last axis, and then the columns again.
        let transposed = rows(columns(values).channelsFirst().reshapedToLastAxis())
        return ImagePlanes(values: transposed.channelsFirst().reshapedToLastAxis())
    }

    static func + (a: ImagePlanes, b: ImagePlanes) -> ImagePlanes {
        ImagePlanes(values: a.values + b.values)
    }

    static func - (a: ImagePlanes, b: ImagePlanes) -> ImagePlanes {
        ImagePlanes(values: a.values - b.values)
    }

    /// `[height, width]`: for each pixel the sum of the channels' squares.
    var squares: Tensor {
        let squares = values * values
        return (1..<channels).reduce(squares[0..<1]) { $0 + squares[$1..<$1 + 1] }
            .reshaped(to: [height, width])
    }

    /// The mean absolute value.
    var meanAbs: Float { values.meanAbs().elements[0] }

    /// The bands of a Laplacian pyramid (Burt and Adelson, 1983) from fine to coarse: what each
    /// halving loses, and what is left.
    func pyramid(levels: Int) -> [ImagePlanes] {
        guard levels > 1 else { return [self] }
        let half = filtered(.halved(height), .halved(width))
        let lost =
            self
            - half.filtered(
                .enlarged(half.height, to: height), .enlarged(half.width, to: width))
        return [lost] + half.pyramid(levels: levels - 1)
    }
}

extension Tensor {
    /// `[a, b, c, 1]` as `[a, b, 1, c]`.
    fileprivate func reshapedToLastAxis() -> Tensor {
        reshaped(to: [shape[0], shape[1], 1, shape[2]])
    }
}
