internal import CWuerstchenKernels

/// How one axis of an image is resampled: for each output position the first input position that
/// counts and the weights of it and those after it.
public struct Resampling: Sendable {
    private let taps: [(first: Int, weights: [Float])]

    /// The number of output positions.
    public var count: Int { taps.count }

    private init(_ taps: [(first: Int, weights: [Float])]) {
        self.taps = taps
    }

    func forEachTap(of output: Int, _ body: (_ input: Int, _ weight: Float) -> Void) {
        let tap = taps[output]
        for (number, weight) in tap.weights.enumerated() { body(tap.first + number, weight) }
    }

    /// Bicubic resampling: PyTorch's `interpolate` with
    /// `antialias=True, align_corners=True`. Scale (n − 1)/(m − 1), half-pixel centres, Keys'
    /// kernel with a = −½, widened when shrinking, weights normalised to sum 1.
    public static func antialiasedBicubic(from count: Int, to target: Int) -> Resampling {
        if count == target { return Resampling((0..<count).map { ($0, [1]) }) }
        let scale = target > 1 ? Float(count - 1) / Float(target - 1) : 0
        return filtered(count, target, scale: scale, radius: 2) { x in
            let a: Float = -0.5
            if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
            if x < 2 { return (((x - 5) * x + 8) * x - 4) * a }
            return 0
        }
    }

    /// The transposed map: what each input gives to the outputs.
    func adjoint(inputs: Int) -> Resampling {
        var shares = [[(output: Int, weight: Float)]](repeating: [], count: inputs)
        for output in 0..<count {
            forEachTap(of: output) { shares[$0].append((output, $1)) }
        }
        return Resampling(
            shares.map { shares in
                guard let first = shares.first?.output, let last = shares.last?.output else {
                    return (0, [])
                }
                var weights = [Float](repeating: 0, count: last - first + 1)
                for share in shares { weights[share.output - first] += share.weight }
                return (first, weights)
            })
    }

    /// The same number of outputs, all like the first.
    var repeatingFirst: Resampling { Resampling(taps.map { _ in taps[0] }) }

    /// Bilinear resampling with half-pixel centres and, when shrinking, a widened triangle: what
    /// image libraries and PyTorch's `interpolate(antialias=True)` do.
    public static func antialiasedBilinear(from count: Int, to target: Int) -> Resampling {
        if count == target { return Resampling((0..<count).map { ($0, [1]) }) }
        let scale = Float(count) / Float(target)
        return filtered(count, target, scale: scale, radius: 1) { max(0, 1 - $0) }
    }

    /// Bilinear resampling with half-pixel centres and no filter: PyTorch's `interpolate` with
    /// `mode="bilinear", align_corners=False`.
    public static func bilinear(from count: Int, to target: Int) -> Resampling {
        let scale = Float(count) / Float(target)
        return Resampling(
            (0..<target).map { output in
                let centre = max(0, (Float(output) + 0.5) * scale - 0.5)
                let first = min(Int(centre), count - 1)
                let fraction = centre - Float(first)
                return first + 1 < count ? (first, [1 - fraction, fraction]) : (first, [1])
            })
    }

    private static func filtered(
        _ count: Int, _ target: Int, scale: Float, radius: Float, kernel: (Float) -> Float
    ) -> Resampling {
        let widening = max(scale, 1)
        let support = radius * widening
        return Resampling(
            (0..<target).map { output in
                let centre = scale * (Float(output) + 0.5)
                let first = max(Int(centre - support + 0.5), 0)
                let end = min(Int(centre + support + 0.5), count)
                let weights = (first..<max(end, first)).map { input in
                    kernel(abs((Float(input) - centre + 0.5) / widening))
                }
                let sum = weights.reduce(0, +)
                return sum == 0 ? (min(first, count - 1), [1]) : (first, weights.map { $0 / sum })
            })
    }
}

extension Tensor {
    /// A channels-last map resampled along both sides; see
    /// ``Resampling/antialiasedBicubic(from:to:)``.
    ///
    /// PyTorch resamples the columns first, and where that leaves one column of a map whose height
    /// changes, it gives the first row in place of every row. So does this: it is what networks
    /// with a level one position wide were trained and published with.
    public func antialiasedBicubic(height: Int, width: Int) -> Tensor {
        let rows = Resampling.antialiasedBicubic(from: shape[1], to: height)
        let columns = Resampling.antialiasedBicubic(from: shape[2], to: width)
        let repeatsFirstRow = width == 1 && height != shape[1]
        return resized(rows: repeatsFirstRow ? rows.repeatingFirst : rows, columns: columns)
    }

    /// A channels-last image or map resampled along both sides.
    public func resized(rows: Resampling, columns: Resampling) -> Tensor {
        let result = resampled(rows, columns)
        guard Recording.isOn(edge) else { return result }
        let (height, width) = (shape[1], shape[2])
        return result.recorded(from: edge) { gradient in
            [gradient.resampled(rows.adjoint(inputs: height), columns.adjoint(inputs: width))]
        }
    }

    private func resampled(_ rows: Resampling, _ columns: Resampling) -> Tensor {
        let (batch, height, width, channels) = axes4
        var between = Tensor(repeating: 0, [batch, height, columns.count, channels])
        let columnsTarget = unsafe between.mutablePointer()
        let source = unsafe pointer
        parallel(batch * height) { row in
            for x in 0..<columns.count {
                let pixel = unsafe columnsTarget + (row * columns.count + x) * channels
                columns.forEachTap(of: x) { input, weight in
                    let from = unsafe source + (row * width + input) * channels
                    unsafe kernels.combine(pixel, 1, pixel, weight, from, channels)
                }
            }
        }
        let rowLength = columns.count * channels
        var result = Tensor(repeating: 0, [batch, rows.count, columns.count, channels])
        let target = unsafe result.mutablePointer()
        parallel(batch * rows.count) { index in
            let sample = index / rows.count
            let row = unsafe target + index * rowLength
            rows.forEachTap(of: index % rows.count) { input, weight in
                let from = unsafe between.pointer + (sample * height + input) * rowLength
                unsafe kernels.combine(row, 1, row, weight, from, rowLength)
            }
        }
        return result
    }
}
