internal import CWuerstchenKernels

extension Tensor.Term {
    /// What the factors were computed by.
    var edges: [GradientEdge?] { [input.edge, matrix.tracked?.edge, inputScale?.edge] }
}

extension Tensor {
    /// A linear layer with what its gradients need. An activation and what comes behind it are
    /// operations of their own, each of which is recorded by itself.
    static func recordedLinear(_ terms: [Term], _ epilogue: Epilogue) -> Tensor {
        guard epilogue.activation == .identity, epilogue.scale == nil, epilogue.modulation == nil
        else {
            // What is cheap to do in the layer stays there.
            var first = Epilogue(bias: epilogue.scale == nil ? epilogue.bias : nil)
            var rest = epilogue
            if epilogue.activation == .identity, epilogue.scale == nil {
                (first.residual, first.gain) = (epilogue.residual, epilogue.gain)
                (rest.residual, rest.gain) = (nil, 1)
            }
            return linear(terms, first).finished(by: rest)
        }
        let result = withoutGradients { linear(terms, epilogue) }
        let gain = epilogue.gain
        let (bias, residual) = (epilogue.bias, epilogue.residual)
        return result.recorded(fromAll: terms.flatMap(\.edges) + [bias?.edge, residual?.edge]) {
            gradient in
            let sums = gain == 1 ? gradient : gradient.scaled(by: gain)
            return try LinearGradient(sums).shares(of: terms) + [
                bias?.edge.map { _ in sums.columnSums(as: bias?.shape ?? []) },
                residual?.edge.map { _ in gradient.reshaped(to: residual?.shape ?? []) },
            ]
        }
    }

    /// The two results of a layer whose sum of squares is taken, recorded.
    static func recordedSumOfSquares(
        _ terms: [Term], _ epilogue: Epilogue, _ sums: Operand, _ results: (Operand, Tensor)
    ) -> (result: Operand, sumOfSquares: Tensor) {
        let isKnown =
            epilogue.activation == .gelu && epilogue.scale == nil && epilogue.residual == nil
            && epilogue.gain == 1 && epilogue.modulation == nil
        let inputs = terms.flatMap(\.edges) + [epilogue.bias?.edge]
        let bias = epilogue.bias
        let node = GradientNode(inputs) { gradients in
            guard isKnown else {
                throw WuerstchenError(
                    .invalidRequest,
                    "gradients of the sum of squares of \(sums.shape); they are known where the "
                        + "epilogue is a bias and GELU")
            }
            let sumOfSquares = gradients.count > 1 ? gradients[1] : nil
            let result = gradients[0] ?? Tensor(repeating: 0, sums.shape)
            let gradient = sums.geluGradient(result, sumOfSquares: sumOfSquares)
            let shares =
                try LinearGradient(gradient).shares(of: terms) + [
                    bias?.edge.map { _ in gradient.columnSums(as: bias?.shape ?? []) }
                ]
            return zip(inputs, shares).compactMap { edge, share in
                if let edge, let share { (edge, share) } else { nil }
            }
        }
        var (result, sumOfSquares) = results
        result.edge = GradientEdge(node, 0)
        sumOfSquares.edge = GradientEdge(node, 1)
        return (result, sumOfSquares)
    }

    /// The sums over all rows, in a shape of as many elements as there are channels.
    func columnSums(as shape: Shape) -> Tensor { Operand(self).columnSums(as: shape) }
}

extension Operand {
    /// The sums over all rows, in a shape of as many elements as there are channels.
    func columnSums(as shape: Shape) -> Tensor {
        let channels = self.shape.channels
        let sums = unsafe RowBlockSums(rows: rowCount, channels: channels) { rows, sums in
            switch elements {
            case .float32(let tensor):
                unsafe kernels.sum_columns(
                    sums, tensor.pointer + rows.lowerBound * channels, channels, rows.count,
                    channels)
            default:
                let ones = Storage<Float>(count: channels)
                ones.fill(0..<channels, with: 1)
                let place = self.rows(from: rows.lowerBound)
                unsafe kernels.dot_columns_bfloat16(
                    sums, ones.base, 0, place.bfloat16Words, 2 * place.stride, rows.count, channels)
                withExtendedLifetime(ones) {}
            }
        }
        return sums.total().reshaped(to: shape)
    }

    /// The gradient of the sums before GELU from that of its results and that of their squares'
    /// sums.
    func geluGradient(_ result: Tensor, sumOfSquares: Tensor?) -> Operand {
        let gradient = Operand(uninitialized: shape, precision)
        let (rows, channels) = (rowsInSample, shape.channels)
        let sumOfSquares = sumOfSquares ?? Tensor(repeating: 0, [shape[0], channels])
        let block = max(1, (1 << 15) / max(1, channels))
        let blocks = (rows + block - 1) / block
        parallel(shape[0] * blocks) { index in
            let (sample, first) = (index / blocks, index % blocks * block)
            let row = sample * rows + first
            let count = min(block, rows - first)
            let (source, target) = (self.rows(from: row), gradient.rows(from: row))
            let sumsOfSquares = unsafe sumOfSquares.pointer + sample * channels
            if precision == .float32 {
                unsafe kernels.gelu_gradient(
                    target.floats, result.pointer + row * channels, source.floats, count, channels,
                    sumsOfSquares)
            } else {
                unsafe kernels.gelu_gradient_bfloat16(
                    target.bfloat16Words, 2 * target.stride, result.pointer + row * channels,
                    source.bfloat16Words, count, channels, sumsOfSquares)
            }
        }
        withExtendedLifetime((result, sumOfSquares)) {}
        return gradient
    }
}

extension OperandRows {
    /// The elements of an operand of bfloat16.
    var bfloat16Words: UnsafeMutablePointer<UInt16> {
        unsafe start.assumingMemoryBound(to: UInt16.self)
    }
}

/// Sums over blocks of rows, each block's by itself, so that their order depends on the shape
/// alone.
struct RowBlockSums {
    private let sums: Storage<Float>
    private let blocks: Int
    private let channels: Int

    init(
        rows: Int, channels: Int,
        _ add: (_ rows: Range<Int>, _ sums: UnsafeMutablePointer<Float>) -> Void
    ) {
        let block = max(1, (1 << 16) / max(1, channels))
        let blocks = (rows + block - 1) / block
        let sums = Storage<Float>(count: max(1, blocks) * channels)
        sums.fill(with: 0)
        parallel(blocks) { index in
            unsafe add(index * block..<min(rows, (index + 1) * block), sums.base + index * channels)
        }
        (self.sums, self.blocks, self.channels) = (sums, blocks, channels)
    }

    /// The sum of all blocks, `[channels]`.
    func total() -> Tensor {
        unsafe Tensor([channels]) { total in
            unsafe total.update(repeating: 0)
            guard let base = total.baseAddress else { return }
            unsafe kernels.sum_columns(base, sums.base, channels, blocks, channels)
        }
    }
}

/// The gradient of a sum of products, on its way to their factors.
private struct LinearGradient {
    private let gradient: Operand

    init(_ gradient: Tensor) { self.gradient = Operand(gradient) }

    init(_ gradient: Operand) { self.gradient = gradient }

    /// For each term the gradients of input, matrix and scale, where they are tracked.
    func shares(of terms: [Tensor.Term]) throws -> [Tensor?] {
        // Converted once where several terms need it.
        var converted: [Bool: Operand] = [:]
        return try terms.flatMap { term -> [Tensor?] in
            guard term.edges.contains(where: { $0 != nil }) else { return [nil, nil, nil] }
            try term.matrix.checkDifferentiable()
            let isLowPrecision = term.matrix.precision != .float32
            let rows = converted[isLowPrecision] ?? gradient.forProducts(with: term.matrix)
            converted[isLowPrecision] = rows
            var input: Tensor?
            var scale: Tensor?
            if term.input.edge != nil || term.inputScale?.edge != nil {
                (input, scale) = try inputShares(rows, term)
            }
            let weight = term.matrix.tracked.map { _ in weightShare(rows, term) }
            return [input, weight, scale]
        }
    }

    /// dX = dY · W, times the scale of each sample's features; and the scale's own gradient.
    private func inputShares(
        _ gradient: Operand, _ term: Tensor.Term
    ) throws -> (Tensor?, Tensor?) {
        let matrix = try term.matrix.transposedForGradients()
        let layer = LinearLayer([Tensor.Term(gradient, matrix)], Epilogue())
        var result = Tensor(uninitialized: term.input.shape)
        let target = unsafe result.mutablePointer()
        guard let factors = term.inputScale else {
            unsafe layer.run(into: .floats(target))
            return (result, nil)
        }
        let sums = TileSums(layer)
        let features = term.matrix.features
        unsafe layer.run(into: .floats(target)) { tile in
            let first = tile.columns.lowerBound
            let corner = unsafe target + tile.row * features + first
            let source = term.input.rows(from: tile.row)
            let total = unsafe sums.tile(tile.rowTile, ofSample: tile.sample) + first
            if term.input.precision == .float32 {
                unsafe kernels.dot_columns(
                    total, corner, features, source.floats + first, source.stride, tile.rowCount,
                    tile.columns.count)
            } else {
                unsafe kernels.dot_columns_bfloat16(
                    total, corner, features, source.bfloat16Words + first, 2 * source.stride,
                    tile.rowCount, tile.columns.count)
            }
            unsafe kernels.scale_columns(
                corner, features, corner, features, tile.rowCount, tile.columns.count,
                factors.pointer + tile.sample * features + first)
        }
        return (result, sums.totals().reshaped(to: factors.shape))
    }

    /// dW = dYᵀ · X, where X is the input times its scale.
    private func weightShare(_ gradient: Operand, _ term: Tensor.Term) -> Tensor {
        Tensor.productOverRows(gradient, term.input, scale: term.inputScale)
    }
}

extension Tensor {
    /// `aᵀ · b`, summed over the rows of all samples.
    ///
    /// - Parameters:
    ///   - a: Floats, or bfloat16 where the processor multiplies them.
    ///   - b: As many rows of any kind of number.
    ///   - scale: A factor for each sample and feature of `b`.
    /// - Returns: `[channels of a, channels of b]`.
    static func productOverRows(_ a: Operand, _ b: Operand, scale: Tensor? = nil) -> Tensor {
        let (outputs, features) = (a.shape.channels, b.shape.channels)
        var result = Tensor(uninitialized: [outputs, features])
        let target = unsafe result.mutablePointer()
        if a.precision == .bfloat16, b.precision != .int8,
            let gemm = unsafe Precision.bfloat16.gemm?.pointee,
            let interleave = unsafe gemm.interleave
        {
            unsafe accumulate(a, b, scale, gemm, interleave, into: target)
            return result
        }
        guard let left = a.converted(to: .float32).floats,
            let right = b.converted(to: .float32).floats
                .map({ scale.map($0.scaledChannels(bySample:)) ?? $0 })
        else { preconditionFailure("operands of floats are tensors") }
        // Floats are multiplied where they lie, some of the outputs at a time.
        let rows = a.rowCount
        let pieces = max(1, min(16, outputs / 16, (outputs * features * rows) >> 21))
        let piece = (outputs + pieces - 1) / pieces
        parallel((outputs + piece - 1) / piece) { index in
            let first = index * piece
            unsafe multiplyOverRows(
                left.pointer + first, stride: outputs, right.pointer, stride: features,
                rows: min(piece, outputs - first), columns: features, depth: rows,
                into: target + first * features, stride: features)
        }
        withExtendedLifetime((left, right)) {}
        return result
    }

    private typealias Interleave =
        @convention(c) (
            UnsafeMutablePointer<UInt32>, Int, UnsafeRawPointer, Bool, Int, Int, Int,
            UnsafePointer<Float>?, Int, Int
        ) -> Void

    /// Some thousand rows at a time are brought into the order of products, which then add to the
    /// result piece by piece.
    private static func accumulate(
        _ a: Operand, _ b: Operand, _ scale: Tensor?, _ gemm: wk_gemm,
        _ interleave: Interleave, into target: UnsafeMutablePointer<Float>
    ) {
        let (outputs, features, rows) = (a.shape.channels, b.shape.channels, a.rowCount)
        let isBFloat16 = b.precision == .bfloat16
        // What a piece of the result reads should stay in the second-level cache.
        let unit = 512
        let chunk = 8 * unit
        let panelColumns = Panels.columns(features)
        let left = Storage<UInt32>(count: outputs * chunk / 2)
        let right = Storage<UInt32>(count: panelColumns * chunk / 2)
        let rowPieces = max(1, min(16, outputs / 8, (outputs * features * chunk) >> 21))
        let piece = max(8, (outputs + rowPieces * 8 - 1) / (rowPieces * 8) * 8)
        let pieces = (outputs + piece - 1) / piece
        for start in stride(from: 0, to: rows, by: chunk) {
            let count = min(chunk, rows - start)
            let units = (count + unit - 1) / unit
            parallel(2 * units) { index in
                let first = start + index / 2 * unit
                let depth = min(unit, rows - first)
                if index % 2 == 0 {
                    let source = a.rows(from: first)
                    unsafe interleave(
                        left.base + (first - start) / 2 * outputs, outputs, source.start, true,
                        2 * source.stride, outputs, depth, nil, 0, 1)
                } else {
                    let source = b.rows(from: first)
                    unsafe interleave(
                        right.base + (first - start) / 2 * panelColumns, 0, source.start,
                        isBFloat16, isBFloat16 ? 2 * source.stride : source.stride, features,
                        depth, scale?.pointer, first, max(1, b.rowsInSample))
                }
            }
            parallel(pieces) { index in
                let first = index * piece
                for number in 0..<units {
                    let depth = min(unit, count - number * unit)
                    var rows = unsafe wk_rows(
                        words: left.base + number * unit / 2 * outputs + first, ld: 1,
                        step: outputs, scale: nil, offset: nil)
                    var panels = unsafe wk_panels(
                        words: right.base + number * unit / 2 * panelColumns,
                        depth: depth, scale: nil, sums: nil)
                    unsafe gemm.multiply(
                        target + first * features, features, &rows, min(piece, outputs - first),
                        &panels, 0, features, features, start > 0 || number > 0)
                }
            }
        }
        if rows == 0 { unsafe target.update(repeating: 0, count: outputs * features) }
        withExtendedLifetime((left, right, scale)) {}
    }
}
