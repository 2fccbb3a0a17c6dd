internal import CWuerstchenKernels

extension Tensor {
    /// One product of a linear layer: rows of features times a matrix.
    public struct Term: Sendable {
        /// `[samples, …, features]`
        var input: Operand
        /// `[outputs, features]`
        var matrix: PackedWeight
        /// A factor for each sample and feature, `[samples, features]`.
        var inputScale: Tensor?
        /// Whether the product belongs to the one before, and so has no say in how the sum is cut
        /// into tiles: an update of 0 changes no bit.
        var isUpdate = false

        /// The product of rows with a matrix.
        ///
        /// - Parameters:
        ///   - input: `[samples, …, features]`.
        ///   - matrix: `[outputs, features]`.
        ///   - inputScale: A factor for each sample and feature, `[samples, features]`.
        public init(_ input: Operand, _ matrix: PackedWeight, inputScale: Tensor? = nil) {
            self.input = input
            self.matrix = matrix
            self.inputScale = inputScale
            precondition(
                input.shape.rank >= 2 && input.shape.channels == matrix.features,
                "\(input.shape) times a matrix of \(matrix.outputs)×\(matrix.features)")
            precondition(
                inputScale == nil || inputScale?.count == input.shape[0] * matrix.features,
                "\(inputScale?.shape as Any) scales \(input.shape)")
        }

        /// The product of a tensor's rows with a matrix.
        public init(_ input: Tensor, _ matrix: PackedWeight, inputScale: Tensor? = nil) {
            self.init(Operand(input), matrix, inputScale: inputScale)
        }
    }

    /// A linear layer over the innermost axis: `activation(x · Wᵀ + b)` and more; see ``Epilogue``.
    ///
    /// - Parameters:
    ///   - matrix: `[outputs, features]`.
    ///   - epilogue: Bias, activation, residual and so on.
    /// - Returns: `[samples, …, outputs]`.
    public func linear(_ matrix: PackedWeight, _ epilogue: Epilogue = Epilogue()) -> Tensor {
        Tensor.linear([Term(self, matrix)], epilogue)
    }

    /// A linear layer whose weight `[outputs, features]` is used as it lies.
    public func linear(_ weight: Tensor, _ epilogue: Epilogue = Epilogue()) -> Tensor {
        linear(PackedWeight(plain: weight), epilogue)
    }

    /// A sum of products under one epilogue. Several terms are what a concatenation of features in
    /// front of one matrix comes to, without building it.
    ///
    /// Each sample is computed by itself, so its result is the same whatever else is in the batch.
    ///
    /// - Returns: `[samples, …, outputs]`, the other axes from the first term.
    public static func linear(_ terms: [Term], _ epilogue: Epilogue = Epilogue()) -> Tensor {
        let terms = terms.withUpdates
        if Recording.isOn(terms.flatMap(\.edges) + epilogue.edges) {
            return recordedLinear(terms, epilogue)
        }
        let layer = LinearLayer(terms, epilogue)
        var result = Tensor(uninitialized: layer.shape)
        unsafe layer.run(into: .floats(result.mutablePointer()))
        return result
    }

    /// The same, and for each sample and output channel the sum over all positions of the squared
    /// activated values, `[samples, outputs]`: what global response normalisation needs.
    ///
    /// - Parameters:
    ///   - terms: The products.
    ///   - epilogue: What happens to their sum.
    ///   - next: The matrix that the result will be multiplied with, which decides in what
    ///     precision it is kept: as floats, or else as bfloat16.
    /// - Returns: The result and its sums of squares.
    public static func linearWithSumOfSquares(
        _ terms: [Term], _ epilogue: Epilogue = Epilogue(), for next: PackedWeight
    ) -> (result: Operand, sumOfSquares: Tensor) {
        let terms = terms.withUpdates
        let layer = LinearLayer(terms, epilogue)
        let partial = TileSums(layer)
        let result = Operand(uninitialized: layer.shape, next.keptPrecision)
        guard Recording.isOn(terms.flatMap(\.edges) + epilogue.edges) else {
            layer.run(into: result.target, sumOfSquares: partial)
            return (result, partial.totals())
        }
        let sums = Operand(uninitialized: layer.shape, next.keptPrecision)
        layer.run(into: result.target, sumOfSquares: partial, unactivated: sums.target)
        return recordedSumOfSquares(terms, epilogue, sums, (result, partial.totals()))
    }
}

/// Sums over the rows of each sample, collected tile by tile so that their order depends on the
/// shapes alone.
struct TileSums {
    private let sums: Storage<Float>
    private let samples: Int
    private let tiles: Int
    private let columns: Int

    init(_ layer: LinearLayer) {
        (samples, tiles, columns) = (layer.samples, layer.tiling.rowTiles, layer.outputs)
        sums = Storage<Float>(count: samples * tiles * columns)
        sums.fill(with: 0)
    }

    /// Where the sums of a tile of rows go, all columns of it.
    func tile(_ tile: Int, ofSample sample: Int) -> UnsafeMutablePointer<Float> {
        unsafe sums.base + (sample * tiles + tile) * columns
    }

    /// `[samples, columns]`
    func totals() -> Tensor {
        unsafe Tensor([samples, columns]) { totals in
            for sample in 0..<samples {
                for column in 0..<columns {
                    // In double and in a fixed order: maps have up to 10⁵ positions.
                    var sum = 0.0
                    for number in 0..<tiles {
                        unsafe sum += Double(tile(number, ofSample: sample)[column])
                    }
                    unsafe totals[sample * columns + column] = Float(sum)
                }
            }
        }
    }
}

/// Where the results of a linear layer go.
///
/// `@safe` to hold: the pointers inside are marked wherever they are made and followed.
@safe
enum LayerTarget {
    case floats(UnsafeMutablePointer<Float>)
    /// bfloat16, an even number in each row.
    case bfloat16(UnsafeMutablePointer<UInt16>)
}

/// A sum of products and its epilogue, ready to be computed tile by tile.
struct LinearLayer {
    let shape: Shape
    let samples: Int
    let rows: Int
    let outputs: Int
    let tiling: Tiling
    private let terms: [PreparedTerm]
    private let epilogue: Epilogue

    /// A term in the form in which it is multiplied.
    private struct PreparedTerm {
        let input: Operand
        /// One matrix for all samples, or one for each.
        let matrices: [PackedWeight]

        init(_ term: Tensor.Term) {
            let precision = term.matrix.operandPrecision
            guard let factors = term.inputScale else {
                input = term.input.converted(to: precision)
                matrices = [term.matrix]
                return
            }
            // The scale goes into the smaller of the two factors. Rows that must be converted
            // anyway are scaled on the way.
            let samples = term.input.shape[0]
            if term.matrix.outputs < term.input.rowsInSample, term.input.precision == precision {
                let scaled = (0..<samples).compactMap {
                    unsafe term.matrix.scaled(by: factors.pointer + $0 * term.matrix.features)
                }
                if scaled.count == samples {
                    (input, matrices) = (term.input, scaled)
                    return
                }
            }
            input = term.input.converted(to: precision, factors: factors)
            matrices = [term.matrix]
        }
    }

    init(_ terms: [Tensor.Term], _ epilogue: Epilogue) {
        let first = terms[0]
        outputs = first.matrix.outputs
        shape = first.input.shape.withChannels(outputs)
        samples = shape[0]
        rows = first.input.rowsInSample
        for term in terms {
            precondition(
                term.matrix.outputs == outputs && term.input.shape[0] == samples
                    && term.input.rowsInSample == rows,
                "terms differ: \(term.input.shape), \(term.matrix.outputs)×\(term.matrix.features)")
        }
        epilogue.check(samples: samples, columns: outputs, count: shape.count)
        self.epilogue = epilogue
        self.terms = terms.map(PreparedTerm.init)
        tiling = Tiling(
            rows: rows, columns: outputs,
            depth: terms.reduce(0) { $0 + ($1.isUpdate ? 0 : $1.matrix.features) },
            isPacked: terms.contains { $0.matrix.isPacked })
    }

    /// A part of the results that was computed at once.
    struct Tile {
        let sample: Int
        /// Which of the sample's tiles of rows.
        let rowTile: Int
        /// The first row, counted over all samples.
        let row: Int
        let rowCount: Int
        let columns: Range<Int>
    }

    /// - Parameters:
    ///   - target: All results.
    ///   - sumOfSquares: Gets the sums.
    ///   - unactivated: Gets the sums with their bias, before the activation.
    ///   - finish: Is called with each tile while it is in the cache.
    func run(
        into target: LayerTarget, sumOfSquares: TileSums? = nil, unactivated: LayerTarget? = nil,
        finish: ((Tile) -> Void)? = nil
    ) {
        parallel(samples * tiling.count) { index in
            let sample = index / tiling.count
            let tile = tiling[index % tiling.count]
            let row = sample * rows + tile.rows.lowerBound
            var steps = unsafe epilogue.steps(sample: sample, row: row, columns: outputs)
            unsafe steps.sum_of_squares = sumOfSquares?.tile(tile.rowTile, ofSample: sample)
            unsafe multiply(
                terms.map {
                    ($0.input.rows(from: row), $0.matrices[$0.matrices.count > 1 ? sample : 0])
                },
                rows: tile.rows.count, columns: tile.columns, unsafe steps,
                into: target.moved(by: row * target.rowLength(outputs)),
                unactivated: unactivated?.moved(by: row * target.rowLength(outputs)))
            finish?(
                Tile(
                    sample: sample, rowTile: tile.rowTile, row: row, rowCount: tile.rows.count,
                    columns: tile.columns))
        }
    }
}

extension LayerTarget {
    /// Elements from one row of results to the next.
    func rowLength(_ outputs: Int) -> Int {
        switch self {
        case .floats: outputs
        case .bfloat16: (outputs + 1) / 2 * 2
        }
    }

    func moved(by count: Int) -> LayerTarget {
        switch self {
        case .floats(let pointer): unsafe .floats(pointer + count)
        case .bfloat16(let pointer): unsafe .bfloat16(pointer + count)
        }
    }
}

/// Some columns of a sum of products for some rows, put through an epilogue, on the calling thread.
///
/// - Parameters:
///   - factors: Rows, and the matrix for each.
///   - rows: How many rows.
///   - columns: Which of the outputs; see
///     ``PackedWeight/multiply(_:rows:columns:adding:into:stride:)``.
///   - steps: The epilogue for the first row from column 0 on.
///   - target: The first row's results from column 0 on.
///   - unactivated: A place like it for the sums with scale and bias alone.
func multiply(
    _ factors: [(rows: OperandRows, matrix: PackedWeight)], rows: Int, columns: Range<Int>,
    _ steps: wk_epilogue, into target: LayerTarget, unactivated: LayerTarget? = nil
) {
    let outputs = factors[0].matrix.outputs
    let rowLength = target.rowLength(outputs)
    // Chunks are computed in a place of their own, as densely as the cache likes; whole tiles right
    // where they belong, if the numbers are the same and not yet to be added.
    let chunks = PackedWeight.pieces(columns, of: factors.map(\.matrix.chunk).min() ?? .max)
    var isInPlace = false
    if chunks.count == 1, unactivated == nil, case .floats(let pointer) = target {
        isInPlace = unsafe steps.residual != UnsafePointer(pointer)
    }
    let width = chunks.map(\.count).max() ?? 0
    let scratch = isInPlace ? nil : Storage<Float>(count: rows * width)
    for chunk in chunks {
        var steps = unsafe steps.moved(by: chunk.lowerBound)
        let (sums, stride): (UnsafeMutablePointer<Float>, Int)
        switch (target, scratch) {
        case (_, let scratch?): unsafe (sums, stride) = unsafe (scratch.base, width)
        case (.floats(let pointer), nil):
            unsafe (sums, stride) = unsafe (pointer + chunk.lowerBound, rowLength)
        case (.bfloat16, nil):
            preconditionFailure("bfloat16 results are rounded from scratch memory")
        }
        for (number, factor) in factors.enumerated() {
            unsafe factor.matrix.multiply(
                factor.rows, rows: rows, columns: chunk, adding: number > 0, into: sums,
                stride: stride)
        }
        func finish(_ target: LayerTarget, _ steps: inout wk_epilogue) {
            switch target {
            case .floats(let pointer):
                unsafe kernels.epilogue(
                    pointer + chunk.lowerBound, rowLength, sums, stride, rows, chunk.count, &steps)
            case .bfloat16(let pointer):
                unsafe kernels.epilogue_bfloat16(
                    pointer + chunk.lowerBound, rowLength, sums, stride, rows, chunk.count, &steps)
            }
        }
        if let unactivated {
            var first = unsafe steps.withoutActivation
            unsafe finish(unactivated, &first)
        }
        if unsafe isInPlace && steps.isEmpty { continue }
        unsafe finish(target, &steps)
    }
    withExtendedLifetime(scratch) {}
}

/// How the product of one sample's rows with a matrix is cut into tiles. It depends on the shapes
/// and the kind of product alone, so that neither batch nor thread count changes a result.
package struct Tiling {
    let rows: Int
    let columns: Int
    package let rowTiles: Int
    let columnTiles: Int
    private let rowsInTile: Int
    private let columnsInTile: Int

    package var count: Int { rowTiles * columnTiles }

    /// - Parameters:
    ///   - rows: Rows of the product.
    ///   - columns: Columns of the product.
    ///   - depth: Length of the sums.
    ///   - isPacked: Whether a matrix is packed.
    package init(rows: Int, columns: Int, depth: Int, isPacked: Bool) {
        self.rows = rows
        self.columns = columns
        if isPacked {
            // So many rows that the matrix, which is read once for each tile of rows, need not come
            // faster than memory delivers it, and so few that they stay in the second-level cache.
            let wanted = max(1, (rows + 95) / 96)
            rowsInTile = max(8, (rows + wanted * 8 - 1) / (wanted * 8) * 8)
            rowTiles = max(1, (rows + rowsInTile - 1) / rowsInTile)
            // Some hundred tiles feed several dozen cores and leave few cores evenly loaded, unless
            // that takes pieces of less than 10⁶ multiplications. What a piece reads of the matrix
            // then stays in the second-level cache for the next rows.
            let pieces = max(1, min(96, (rows * columns * depth) >> 20) / rowTiles)
            let unit = PackedWeight.columnUnit
            columnsInTile = max(unit, (columns + pieces * unit - 1) / (pieces * unit) * unit)
            columnTiles = PackedWeight.pieces(0..<columns, of: columnsInTile).count
            return
        }
        // Tiles of at least some 10⁷ multiplications keep the cost of a call small; sixteen of them
        // feed as many cores and leave two cores evenly loaded; at most 2 MB of results a tile.
        let multiplications = rows * columns * depth
        let wanted = max(
            min(16, multiplications >> 23),
            (rows * columns + (1 << 19) - 1) >> 19, 1)
        // OpenBLAS copies both factors of each tile: the rows once for every column of tiles and
        // the matrix once for every row of tiles. Take the cut that copies least.
        var best = (cost: Int.max, rowTiles: 1, columnTiles: 1)
        var columnTiles = 1
        while columnTiles <= wanted {
            let rowTiles = (wanted + columnTiles - 1) / columnTiles
            let cost = rowTiles * columns * depth + columnTiles * rows * depth
            let fits = rows / rowTiles >= 16 && columns / columnTiles >= 32
            if fits || columnTiles * rowTiles == 1, cost < best.cost {
                best = (cost, rowTiles, columnTiles)
            }
            columnTiles *= 2
        }
        rowsInTile = max(1, (rows + best.rowTiles - 1) / best.rowTiles)
        // Whole vectors and cache lines in a tile.
        columnsInTile = max(1, ((columns + best.columnTiles - 1) / best.columnTiles + 15) / 16 * 16)
        rowTiles = (rows + rowsInTile - 1) / rowsInTile
        self.columnTiles = (columns + columnsInTile - 1) / columnsInTile
    }

    /// Tiles of the same columns follow one another, so that threads share what they read of the
    /// matrix.
    package subscript(index: Int) -> (rows: Range<Int>, columns: Range<Int>, rowTile: Int) {
        let rowTile = index % rowTiles
        let columnTile = index / rowTiles
        let row = rowTile * rowsInTile
        let column = columnTile * columnsInTile
        return (
            row..<min(rows, row + rowsInTile),
            column..<(columnTile == columnTiles - 1 ? columns : column + columnsInTile), rowTile
        )
    }
}
