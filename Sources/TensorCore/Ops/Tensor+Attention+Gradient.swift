internal import CWuerstchenKernels

extension Tensor.KeyValues {
    var edges: [GradientEdge?] { [keys.edge, values.edge] }
}

extension Tensor {
    /// The gradients of attention: of the queries, and of each segment's keys and values.
    ///
    /// The probabilities are computed anew, a block of queries at a time with all keys in one row,
    /// so that the softmax needs no running maximum. Heads, and queries that share their keys, are
    /// taken one after the other on one thread: keys and values sum up over them in a fixed order.
    func attentionGradients(
        _ gradient: Tensor, to segments: [KeyValues], heads: Int, causal: Bool
    ) throws -> [Tensor?] {
        let (samples, queries, channels) = (shape[0], shape[1], shape[2])
        let depth = channels / heads
        let scale = 1 / Float(depth).squareRoot()
        let counts = segments.map { $0.keys.shape[1] }
        let positions = counts.reduce(0, +)
        var result = Tensor(uninitialized: shape)
        let target = unsafe result.mutablePointer()
        var shares = segments.flatMap {
            [Tensor(repeating: 0, $0.keys.shape), Tensor(repeating: 0, $0.values.shape)]
        }
        let shareTargets = unsafe shares.indices.map { unsafe shares[$0].mutablePointer() }
        // Queries of so many neighbouring samples must be taken together.
        let groups = segments.map { samples / $0.keys.shape[0] }
        let group = groups.max() ?? 1
        guard groups.allSatisfy({ group % $0 == 0 }) else {
            throw WuerstchenError(
                .invalidRequest,
                "gradients of attention whose segments are shared by groups of \(groups) samples; "
                    + "each group must divide the largest")
        }
        let block = max(1, min(queries, 96))
        parallel(samples / group * heads) { index in
            let head = index % heads
            let scores = Storage<Float>(count: block * positions)
            let changes = Storage<Float>(count: block * positions)
            let statistics = Storage<Float>(count: 3 * block)
            for sample in index / heads * group..<(index / heads + 1) * group {
                for first in Swift.stride(from: 0, to: queries, by: block) {
                    let rows = min(block, queries - first)
                    let place = (sample * queries + first) * channels + head * depth
                    func corner(_ number: Int) -> Int {
                        let owner = sample / (samples / segments[number].keys.shape[0])
                        return owner * counts[number] * channels + head * depth
                    }
                    // P = softmax(scale · Q Kᵀ + mask) and dP = dO Vᵀ
                    var column = 0
                    for (number, segment) in segments.enumerated() {
                        unsafe multiplyTransposed(
                            pointer + place, stride: channels,
                            segment.keys.pointer + corner(number), stride: channels, rows: rows,
                            columns: counts[number], depth: depth, into: scores.base + column,
                            stride: positions)
                        unsafe multiplyTransposed(
                            gradient.pointer + place, stride: channels,
                            segment.values.pointer + corner(number), stride: channels, rows: rows,
                            columns: counts[number], depth: depth, into: changes.base + column,
                            stride: positions)
                        column += counts[number]
                    }
                    unsafe Tensor.softmax(
                        scores.base, rows: rows, columns: positions, scale: scale,
                        mask: Tensor.jointMask(segments, sample, samples),
                        limits: causal ? (0..<rows).map { first + $0 + 1 } : nil,
                        unsafe statistics.base)
                    column = 0
                    for number in segments.indices {
                        // dV += Pᵀ dO
                        unsafe multiplyOverRows(
                            scores.base + column, stride: positions, gradient.pointer + place,
                            stride: channels, rows: counts[number], columns: depth, depth: rows,
                            adding: true, into: shareTargets[2 * number + 1] + corner(number),
                            stride: channels)
                        column += counts[number]
                    }
                    unsafe kernels.softmax_gradient(
                        changes.base, scores.base, positions, rows, positions, scale)
                    column = 0
                    for (number, segment) in segments.enumerated() {
                        // dQ += dS K, dK += dSᵀ Q
                        unsafe multiply(
                            changes.base + column, stride: positions,
                            segment.keys.pointer + corner(number), stride: channels, rows: rows,
                            columns: depth, depth: counts[number], adding: number > 0,
                            into: target + place, stride: channels)
                        unsafe multiplyOverRows(
                            changes.base + column, stride: positions, pointer + place,
                            stride: channels, rows: counts[number], columns: depth, depth: rows,
                            adding: true, into: shareTargets[2 * number] + corner(number),
                            stride: channels)
                        column += counts[number]
                    }
                }
            }
            withExtendedLifetime((scores, changes, statistics)) {}
        }
        return [result] + shares
    }

    /// Rows of scores to probabilities.
    private static func softmax(
        _ scores: UnsafeMutablePointer<Float>, rows: Int, columns: Int, scale: Float,
        mask: [Float]?, limits: [Int]?, _ statistics: UnsafeMutablePointer<Float>
    ) {
        let (maxima, totals, factors) = unsafe (
            statistics, statistics + rows, statistics + 2 * rows
        )
        unsafe maxima.update(repeating: -.infinity, count: rows)
        unsafe totals.update(repeating: 0, count: rows)
        unsafe kernels.softmax_block(
            scores, columns, rows, columns, scale, mask, limits, maxima, totals, factors)
        for row in 0..<rows { unsafe factors[row] = unsafe 1 / totals[row] }
        unsafe kernels.scale_rows(scores, columns, rows, columns, factors)
    }

    /// What is added to the scores of one sample's keys, over all segments; nil for nothing.
    private static func jointMask(
        _ segments: [KeyValues], _ sample: Int, _ samples: Int
    ) -> [Float]? {
        guard segments.contains(where: { $0.mask != nil }) else { return nil }
        return segments.flatMap { segment in
            let count = segment.keys.shape[1]
            guard let mask = segment.mask else { return [Float](repeating: 0, count: count) }
            let owner = sample / (samples / segment.keys.shape[0])
            return unsafe Array(
                UnsafeBufferPointer(start: mask.pointer + owner * count, count: count))
        }
    }
}
