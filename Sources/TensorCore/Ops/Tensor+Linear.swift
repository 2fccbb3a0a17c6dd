internal import CWuerstchenKernels

extension Tensor {
    /// One product of a linear layer: rows of features times a matrix.
    public struct Term: Sendable {
        /// `[samples, …, features]`
        var input: Tensor
        /// `[outputs, features]`, of which `features` are used; the layout PyTorch stores.
        var weight: Tensor
        /// Which columns of `weight` belong to `input`.
        var features: Range<Int>
        /// A factor for each sample and feature, `[samples, features]`.
        var inputScale: Tensor?

        /// The product of `input` with some columns of `weight`.
        ///
        /// - Parameters:
        ///   - input: `[samples, …, features]`.
        ///   - weight: `[outputs, all features]`.
        ///   - features: The columns of `weight` that belong to `input`; all of them by default.
        ///   - inputScale: A factor for each sample and feature, `[samples, features]`.
        public init(
            _ input: Tensor, _ weight: Tensor, features: Range<Int>? = nil,
            inputScale: Tensor? = nil
        ) {
            self.input = input
            self.weight = weight
            self.features = features ?? 0..<weight.shape[1]
            self.inputScale = inputScale
            precondition(
                weight.shape.rank == 2 && input.shape.rank >= 2
                    && input.shape.channels == self.features.count
                    && self.features.lowerBound >= 0
                    && self.features.upperBound <= weight.shape[1],
                "\(input.shape) times columns \(self.features) of \(weight.shape)")
            precondition(
                inputScale == nil
                    || inputScale?.count == input.shape[0] * self.features.count,
                "\(inputScale?.shape as Any) scales \(input.shape)")
        }
    }

    /// A linear layer over the innermost axis: `activation(x · Wᵀ + b)` and more; see ``Epilogue``.
    ///
    /// - Parameters:
    ///   - weight: `[outputs, features]`.
    ///   - epilogue: Bias, activation, residual and so on.
    /// - Returns: `[samples, …, outputs]`.
    public func linear(_ weight: Tensor, _ epilogue: Epilogue = Epilogue()) -> Tensor {
        Tensor.linear([Term(self, weight)], epilogue)
    }

    /// A sum of products under one epilogue. Several terms are what a concatenation of features in
    /// front of one matrix comes to, without building it.
    ///
    /// Each sample is computed by itself, so its result is the same whatever else is in the batch.
    ///
    /// - Returns: `[samples, …, outputs]`, the other axes from the first term.
    public static func linear(_ terms: [Term], _ epilogue: Epilogue = Epilogue()) -> Tensor {
        linear(terms, epilogue, energy: nil)
    }

    /// The same, and for each sample and output channel the sum over all positions of the squared
    /// activated values, `[samples, outputs]`: what global response normalisation needs.
    public static func linearWithEnergy(
        _ terms: [Term], _ epilogue: Epilogue = Epilogue()
    ) -> (result: Tensor, energy: Tensor) {
        let samples = terms[0].input.shape[0]
        let outputs = terms[0].weight.shape[0]
        let tiling = Tiling(terms: terms)
        let partial = Tensor(repeating: 0, [samples, tiling.rowTiles, outputs])
        let result = linear(terms, epilogue, energy: partial)
        let energy = Tensor([samples, outputs]) { sums in
            for sample in 0..<samples {
                for channel in 0..<outputs {
                    // In double and in a fixed order: maps have up to 10⁵ positions.
                    var sum = 0.0
                    for tile in 0..<tiling.rowTiles {
                        sum += Double(
                            partial.pointer[(sample * tiling.rowTiles + tile) * outputs + channel])
                    }
                    sums[sample * outputs + channel] = Float(sum)
                }
            }
        }
        return (result, energy)
    }

    private static func linear(_ terms: [Term], _ epilogue: Epilogue, energy: Tensor?) -> Tensor {
        let first = terms[0]
        let outputs = first.weight.shape[0]
        let samples = first.input.shape[0]
        let tiling = Tiling(terms: terms)
        let rows = tiling.rows
        var result = Tensor(uninitialized: first.input.shape.withChannels(outputs))
        epilogue.check(samples: samples, columns: outputs, count: result.count)
        for term in terms {
            precondition(
                term.weight.shape[0] == outputs && term.input.shape[0] == samples
                    && term.rows == rows,
                "terms differ: \(term.input.shape), \(term.weight.shape)")
        }
        let target = result.mutablePointer()
        let operands = terms.map { $0.scaled() }
        parallel(samples * tiling.count) { index in
            let sample = index / tiling.count
            let tile = tiling[index % tiling.count]
            let row = sample * rows + tile.rows.lowerBound
            let corner = target + row * outputs + tile.columns.lowerBound
            for (number, operand) in operands.enumerated() {
                let depth = operand.features.count
                let stride = operand.weight.shape[-1]
                // Scaled weights hold a matrix for each sample.
                let matrix = operand.weight.shape.rank == 3 ? sample * outputs * stride : 0
                multiplyTransposed(
                    operand.input.pointer + row * depth, stride: depth,
                    operand.weight.pointer + matrix + tile.columns.lowerBound * stride
                        + operand.features.lowerBound,
                    stride: stride,
                    rows: tile.rows.count, columns: tile.columns.count, depth: depth,
                    adding: number > 0, into: corner, stride: outputs)
            }
            guard energy != nil || !epilogue.isEmpty else { return }
            let sums = energy.map {
                UnsafeMutablePointer(mutating: $0.pointer)
                    + (sample * tiling.rowTiles + tile.rowTile) * outputs + tile.columns.lowerBound
            }
            var steps = epilogue.steps(
                sample: sample, row: row, column: tile.columns.lowerBound, columns: outputs,
                energy: sums)
            kernels.epilogue(corner, outputs, tile.rows.count, tile.columns.count, &steps)
        }
        return result
    }
}

extension Tensor.Term {
    /// Rows of one sample.
    var rows: Int { input.shape.count(of: 1..<input.shape.rank - 1) }

    /// The term with its input scale multiplied into the smaller of the two factors: into the
    /// matrix (one for each sample, `[samples, outputs, features]`) or into the rows.
    fileprivate func scaled() -> Tensor.Term {
        guard let inputScale else { return self }
        let samples = input.shape[0]
        let outputs = weight.shape[0]
        let depth = features.count
        var term = self
        term.inputScale = nil
        if outputs < rows {
            let stride = weight.shape[1]
            var matrices = Tensor(uninitialized: [samples, outputs, depth])
            let target = matrices.mutablePointer()
            let block = 64
            let blocks = (outputs + block - 1) / block
            parallel(samples * blocks) { index in
                let sample = index / blocks
                let first = index % blocks * block
                kernels.scale_columns(
                    target + (sample * outputs + first) * depth, depth,
                    weight.pointer + first * stride + features.lowerBound, stride,
                    min(block, outputs - first), depth, inputScale.pointer + sample * depth)
            }
            term.weight = matrices
            term.features = 0..<depth
        } else {
            var product = Tensor(uninitialized: input.shape)
            let target = product.mutablePointer()
            let rows = rows
            let block = 16
            let blocks = (rows + block - 1) / block
            parallel(samples * blocks) { index in
                let sample = index / blocks
                let first = index % blocks * block
                let place = (sample * rows + first) * depth
                kernels.scale_columns(
                    target + place, depth, input.pointer + place, depth, min(block, rows - first),
                    depth, inputScale.pointer + sample * depth)
            }
            term.input = product
        }
        return term
    }
}

/// How the product of one sample's rows with a matrix is cut into tiles. It depends on the shapes
/// alone, so that neither batch nor thread count changes a result.
struct Tiling {
    let rows: Int
    let columns: Int
    let rowTiles: Int
    let columnTiles: Int
    private let rowsInTile: Int
    private let columnsInTile: Int

    var count: Int { rowTiles * columnTiles }

    init(terms: [Tensor.Term]) {
        self.init(
            rows: terms[0].rows, columns: terms[0].weight.shape[0],
            depth: terms.reduce(0) { $0 + $1.features.count })
    }

    /// - Parameters:
    ///   - rows: Rows of the product.
    ///   - columns: Columns of the product.
    ///   - depth: Length of the sums.
    init(rows: Int, columns: Int, depth: Int) {
        self.rows = rows
        self.columns = columns
        // Tiles of at least some 10⁷ multiplications keep the cost of a call small; sixteen of them
        // feed as many cores and leave two cores evenly loaded; at most 2 MB of results a tile.
        let products = rows * columns * depth
        let wanted = max(
            min(16, products >> 23),
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

    subscript(index: Int) -> (rows: Range<Int>, columns: Range<Int>, rowTile: Int) {
        let rowTile = index / columnTiles
        let row = rowTile * rowsInTile
        let column = index % columnTiles * columnsInTile
        return (
            row..<min(rows, row + rowsInTile), column..<min(columns, column + columnsInTile),
            rowTile
        )
    }
}
