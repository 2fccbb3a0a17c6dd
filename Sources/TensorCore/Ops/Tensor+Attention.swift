internal import CWuerstchenKernels

extension Tensor {
    /// Keys and values of some of the positions that attention looks at.
    public struct KeyValues: Sendable {
        /// `[samples', positions, channels]`, where the number of samples divides the queries':
        /// equal shares of neighbouring queries look at the same keys.
        public var keys: Tensor
        /// The shape of the keys.
        public var values: Tensor
        /// Which positions may be looked at, `[samples', positions]`: 0 if so and −∞ if not.
        public var mask: Tensor?

        /// Keys and values, each `[samples', positions, channels]`.
        public init(keys: Tensor, values: Tensor, mask: Tensor? = nil) {
            self.keys = keys
            self.values = values
            self.mask = mask
        }
    }

    /// Multi-head attention (Vaswani et al., 2017) of these queries to all positions of the given
    /// segments together: `softmax(Q Kᵀ / √d) V` for each head's `d` channels.
    ///
    /// Blocks of keys are visited one after the other with a running maximum and sum (Milakov and
    /// Gimelshein, 2018; FlashAttention), so that the scores of all pairs never exist.
    ///
    /// - Parameters:
    ///   - segments: Keys and values. Nothing is concatenated.
    ///   - heads: The number of heads; neighbouring channels belong to one head.
    ///   - causal: Whether a query sees only the positions up to its own. For a single segment.
    /// - Returns: `[samples, queries, channels]`, in the shape of the queries.
    public func attention(to segments: [KeyValues], heads: Int, causal: Bool = false) -> Tensor {
        precondition(shape.rank == 3, "queries are [samples, positions, channels], not \(shape)")
        let (samples, queries, channels) = (shape[0], shape[1], shape[2])
        let depth = channels / heads
        precondition(heads * depth == channels, "\(channels) channels in \(heads) heads")
        for segment in segments {
            precondition(
                segment.keys.shape.rank == 3 && segment.keys.shape[0] > 0
                    && samples % segment.keys.shape[0] == 0 && segment.keys.shape[2] == channels
                    && segment.values.shape == segment.keys.shape
                    && segment.mask.map {
                        $0.count == segment.keys.shape[0] * segment.keys.shape[1]
                    } ?? true,
                "keys \(segment.keys.shape) for queries \(shape)")
        }
        let scale = 1 / Float(depth).squareRoot()
        let queryBlock = 128
        let keyBlock = 512
        let blocks = (queries + queryBlock - 1) / queryBlock
        var result = Tensor(uninitialized: shape)
        let target = result.mutablePointer()
        let source = pointer
        parallel(samples * heads * blocks) { index in
            let sample = index / (heads * blocks)
            let head = index / blocks % heads
            let first = index % blocks * queryBlock
            let rows = min(queryBlock, queries - first)
            let place = (sample * queries + first) * channels + head * depth
            let scores = Storage(count: rows * keyBlock)
            let running = Storage(count: 3 * rows)
            let (maxima, sums) = (running.base, running.base + rows)
            let correction = running.base + 2 * rows
            maxima.update(repeating: -.infinity, count: rows)
            sums.update(repeating: 0, count: rows)
            var isFirst = true
            for segment in segments {
                let positions = segment.keys.shape[1]
                let owner = sample / (samples / segment.keys.shape[0])
                for start in stride(from: 0, to: positions, by: keyBlock) {
                    let columns = min(keyBlock, positions - start)
                    if causal && start > first + rows - 1 { break }
                    let corner = (owner * positions + start) * channels + head * depth
                    multiplyTransposed(
                        source + place, stride: channels, segment.keys.pointer + corner,
                        stride: channels, rows: rows, columns: columns, depth: depth,
                        into: scores.base, stride: columns)
                    let limits = causal ? (0..<rows).map { first + $0 + 1 - start } : nil
                    kernels.softmax_block(
                        scores.base, columns, rows, columns, scale,
                        segment.mask.map { $0.pointer + owner * positions + start }, limits,
                        maxima, sums, correction)
                    if !isFirst {
                        kernels.scale_rows(target + place, channels, rows, depth, correction)
                    }
                    multiply(
                        scores.base, stride: columns, segment.values.pointer + corner,
                        stride: channels, rows: rows, columns: depth, depth: columns,
                        adding: !isFirst, into: target + place, stride: channels)
                    isFirst = false
                }
            }
            for row in 0..<rows { correction[row] = 1 / sums[row] }
            kernels.scale_rows(target + place, channels, rows, depth, correction)
        }
        return result
    }
}
