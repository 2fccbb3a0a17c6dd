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
    ///   - precision: The numbers that are multiplied: 32-bit floats, or else bfloat16 where the
    ///     processor multiplies them.
    /// - Returns: `[samples, queries, channels]`, in the shape of the queries.
    public func attention(
        to segments: [KeyValues], heads: Int, causal: Bool = false, precision: Precision = .float32
    ) -> Tensor {
        precondition(shape.rank == 3, "queries are [samples, positions, channels], not \(shape)")
        let (samples, queries, channels) = (shape[0], shape[1], shape[2])
        let depth = channels / heads
        precondition(heads * depth == channels, "\(channels) channels in \(heads) heads")
        precondition(!causal || segments.count == 1, "causal attention to several segments")
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
        let edges = [edge] + segments.flatMap(\.edges)
        if Recording.isOn(edges) {
            let result = withoutGradients {
                attention(to: segments, heads: heads, causal: causal, precision: precision)
            }
            return result.recorded(fromAll: edges) {
                try attentionGradients($0, to: segments, heads: heads, causal: causal)
            }
        }
        let format: Precision =
            precision == .float32 || !Precision.bfloat16.isAccelerated ? .float32 : .bfloat16
        let memories = segments.map { AttentionMemory($0, heads: heads, format) }
        let block = 96
        let blocks = (queries + block - 1) / block
        var result = Tensor(uninitialized: shape)
        let target = unsafe result.mutablePointer()
        let source = unsafe pointer
        parallel(samples * heads * blocks) { index in
            let sample = index / (heads * blocks)
            let head = index / blocks % heads
            let first = index % blocks * block
            let rows = min(block, queries - first)
            let place = (sample * queries + first) * channels + head * depth
            var run = unsafe AttentionRun(
                OperandRows(source + place, stride: channels), rows: rows, depth: depth, format)
            for memory in memories {
                memory.visit(
                    by: &run, sample: sample / (samples / memory.samples), head: head,
                    firstQuery: causal ? first : nil)
            }
            unsafe run.finish(into: target + place, stride: channels)
        }
        return result
    }
}

/// One head's queries of one block, on their way over the keys.
private struct AttentionRun {
    let rows: Int
    let depth: Int
    let format: Precision
    /// In `format`.
    private let queries: OperandScratch
    private let scale: Float
    /// For each row the largest score so far, the sum of exponentials, and by what a step changed
    /// what was summed up before.
    private let running: Storage<Float>
    private let sums: Storage<Float>
    private let scores: Storage<Float>
    private let probabilities: OperandScratch?
    private var isFirst = true

    init(_ source: OperandRows, rows: Int, depth: Int, _ format: Precision) {
        self.rows = rows
        self.depth = depth
        self.format = format
        scale = 1 / Float(depth).squareRoot()
        queries = OperandScratch(rows: rows, features: depth, format)
        unsafe source.convert(
            from: .float32, count: rows, features: depth, to: format, queries.rows)
        running = Storage<Float>(count: 3 * rows)
        running.fill(0..<rows, with: -.infinity)
        running.fill(rows..<3 * rows, with: 0)
        sums = Storage<Float>(count: rows * depth)
        sums.fill(with: 0)
        scores = Storage<Float>(count: rows * AttentionMemory.largestPiece)
        probabilities =
            format == .float32
            ? nil
            : OperandScratch(rows: rows, features: AttentionMemory.largestPiece, format)
    }

    /// Attends to some positions.
    ///
    /// - Parameters:
    ///   - count: How many positions.
    ///   - limits: For each row how many of them it sees, or nil for all.
    ///   - mask: What is added to the scores.
    ///   - keys: Multiplies queries `rows × depth` by the keys into scores `rows × count`.
    ///   - values: Adds the product of probabilities `rows × count` with the values to sums
    ///     `rows × depth`.
    mutating func attend(
        to count: Int, limits: [Int]?, mask: UnsafePointer<Float>?,
        keys: (OperandRows, UnsafeMutablePointer<Float>) -> Void,
        values: (OperandRows, UnsafeMutablePointer<Float>) -> Void
    ) {
        let (maxima, totals) = unsafe (running.base, running.base + rows)
        let correction = unsafe running.base + 2 * rows
        unsafe keys(queries.rows, scores.base)
        let seen: OperandRows
        if let probabilities, let softmax = unsafe format.gemm?.pointee.softmax_block {
            let words = unsafe probabilities.rows.start
            let stride = format.words(count)
            unsafe softmax(
                words, stride, scores.base, count, rows, count, scale, mask, limits, maxima,
                totals, correction)
            seen = unsafe OperandRows(words, stride: stride, scales: nil, offsets: nil)
        } else {
            unsafe kernels.softmax_block(
                scores.base, count, rows, count, scale, mask, limits, maxima, totals, correction)
            seen = unsafe OperandRows(scores.base, stride: count)
        }
        if !isFirst { unsafe kernels.scale_rows(sums.base, depth, rows, depth, correction) }
        isFirst = false
        unsafe values(seen, sums.base)
    }

    /// Divides by the sums of the exponentials.
    func finish(into target: UnsafeMutablePointer<Float>, stride: Int) {
        let (totals, factors) = unsafe (running.base + rows, running.base + 2 * rows)
        for row in 0..<rows { unsafe factors[row] = unsafe 1 / totals[row] }
        unsafe kernels.scale_rows(sums.base, depth, rows, depth, factors)
        for row in 0..<rows {
            unsafe (target + row * stride).update(from: sums.base + row * depth, count: depth)
        }
    }
}

/// Keys and values of one segment, packed head by head if there are products for it.
private struct AttentionMemory {
    let samples: Int
    private let segment: Tensor.KeyValues
    private let heads: Int
    private let depth: Int
    private let positions: Int
    private let pieces: [Range<Int>]
    private let format: Precision
    private let gemm: wk_gemm?
    /// For each sample and head the panels of its keys, then for each piece those of its values. A
    /// piece begins at a whole word, so that what lies before it follows from where it begins.
    private let words: Storage<UInt32>?
    private let keyWords: Int
    private let valueWords: Int

    /// Positions that are visited at a time. The last piece may be longer by a vector.
    private static let piece = 8 * PackedWeight.columnUnit
    static let largestPiece = piece + 16

    init(_ segment: Tensor.KeyValues, heads: Int, _ format: Precision) {
        self.segment = segment
        self.heads = heads
        self.format = format
        (samples, positions) = (segment.keys.shape[0], segment.keys.shape[1])
        let channels = segment.keys.shape[2]
        depth = channels / heads
        pieces = PackedWeight.pieces(0..<positions, of: AttentionMemory.piece)
        gemm = unsafe format.gemm?.pointee
        keyWords = Panels.columns(positions) * format.words(depth)
        valueWords = Panels.columns(depth) * format.words(positions)
        guard let gemm, let transpose = unsafe gemm.pack_transposed else {
            words = nil
            return
        }
        let words = Storage<UInt32>(count: samples * heads * (keyWords + valueWords))
        let (keyWords, valueWords) = (keyWords, valueWords)
        let (pieces, positions, depth) = (pieces, positions, depth)
        parallel(samples * heads * pieces.count) { index in
            let owner = index / pieces.count
            let piece = pieces[index % pieces.count]
            let corner =
                (owner / heads * positions + piece.lowerBound) * channels + owner % heads * depth
            let panels = unsafe words.base + owner * (keyWords + valueWords)
            unsafe gemm.pack(
                panels, nil, nil, segment.keys.pointer + corner, channels, piece.lowerBound,
                piece.upperBound, positions, depth)
            unsafe transpose(
                panels + keyWords + Panels.columns(depth) * format.words(piece.lowerBound),
                segment.values.pointer + corner, channels, depth, piece.count)
        }
        self.words = words
    }

    /// - Parameters:
    ///   - run: The queries.
    ///   - sample: Whose keys and values.
    ///   - head: Which head.
    ///   - firstQuery: The position of the first query if queries see only positions up to their
    ///     own.
    func visit(by run: inout AttentionRun, sample: Int, head: Int, firstQuery: Int?) {
        let channels = heads * depth
        let panels = unsafe words.map {
            unsafe $0.base + (sample * heads + head) * (keyWords + valueWords)
        }
        let rows = run.rows
        let (depth, positions) = (depth, positions)
        for piece in pieces {
            var limits: [Int]?
            if let firstQuery {
                if piece.lowerBound > firstQuery + rows - 1 { break }
                limits = (0..<rows).map { firstQuery + $0 + 1 - piece.lowerBound }
            }
            let corner = (sample * positions + piece.lowerBound) * channels + head * depth
            let mask = unsafe segment.mask.map {
                unsafe $0.pointer + sample * positions + piece.lowerBound
            }
            if let gemm, let panels = unsafe panels {
                let values =
                    unsafe panels + keyWords + Panels.columns(depth)
                    * format.words(piece.lowerBound)
                unsafe run.attend(to: piece.count, limits: limits, mask: mask) { queries, scores in
                    var left = unsafe queries.kernelRows
                    var right = unsafe wk_panels(
                        words: panels, depth: depth, scale: nil, sums: nil)
                    unsafe gemm.multiply(
                        scores, piece.count, &left, rows, &right, piece.lowerBound,
                        piece.upperBound, positions, false)
                } values: { probabilities, sums in
                    var left = unsafe probabilities.kernelRows
                    var right = unsafe wk_panels(
                        words: values, depth: piece.count, scale: nil, sums: nil)
                    unsafe gemm.multiply(sums, depth, &left, rows, &right, 0, depth, depth, true)
                }
            } else {
                unsafe run.attend(to: piece.count, limits: limits, mask: mask) { queries, scores in
                    unsafe multiplyTransposed(
                        queries.floats, stride: queries.stride, segment.keys.pointer + corner,
                        stride: channels, rows: rows, columns: piece.count, depth: depth,
                        into: scores, stride: piece.count)
                } values: { probabilities, sums in
                    unsafe TensorCore.multiply(
                        probabilities.floats, stride: probabilities.stride,
                        segment.values.pointer + corner, stride: channels, rows: rows,
                        columns: depth, depth: piece.count, adding: true, into: sums,
                        stride: depth)
                }
            }
        }
    }
}
