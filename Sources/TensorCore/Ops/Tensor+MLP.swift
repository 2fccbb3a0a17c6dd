internal import CWuerstchenKernels

extension Tensor {
    /// `x + gain · (W₂ · GELU(W₁ · t + b₁) + b₂)` with `t = layer norm of x · scale + shift`.
    ///
    /// Nothing in it looks beyond one position, so it is computed block by block of positions and
    /// the four times wider layer between the products never exists as a whole.
    ///
    /// - Parameters:
    ///   - first: W₁ `[hidden, channels]` and b₁ `[hidden]`.
    ///   - second: W₂ `[channels, hidden]` and b₂ `[channels]`.
    ///   - mixing: Scale and shift after the norm (ε = 10⁻⁶), and the gain of what is added.
    /// - Returns: A tensor of the same shape.
    public consuming func addingMLP(
        _ first: (matrix: PackedWeight, bias: Tensor?),
        _ second: (matrix: PackedWeight, bias: Tensor?),
        mixing: Mixing
    ) -> Tensor {
        let parameters = [
            first.matrix.tracked?.edge, first.bias?.edge, second.matrix.tracked?.edge,
            second.bias?.edge, mixing.numbers.edge,
        ]
        let hasUpdates = !first.matrix.updates.isEmpty || !second.matrix.updates.isEmpty
        if hasUpdates || Recording.isOn(parameters + [edge]) {
            let x = self
            return mixing.adding(to: x) {
                $0.linear(first.matrix, Epilogue(bias: first.bias, activation: .gelu))
                    .linear(second.matrix, Epilogue(bias: second.bias))
            }
        }
        let (scale, shift, gain) = (mixing.scale, mixing.shift, mixing.gain)
        // In place where nobody else looks at the elements: a block reads its own rows alone.
        var result = self
        let shape = result.shape
        let channels = shape.channels
        let hidden = first.matrix.outputs
        precondition(
            first.matrix.features == channels && second.matrix.features == hidden
                && second.matrix.outputs == channels && first.bias?.count ?? hidden == hidden
                && second.bias?.count ?? channels == channels,
            "MLP from \(first.matrix.features) over \(hidden) to "
                + "\(second.matrix.outputs) channels for \(shape)")
        let rows = shape.count / max(1, shape[0] * channels)
        // A packed matrix is read through for every block; OpenBLAS copies it besides.
        let block = first.matrix.isPacked ? 96 : 256
        let blocks = (rows + block - 1) / block
        let target = unsafe result.mutablePointer()
        let inner = Epilogue(bias: first.bias, activation: .gelu)
        let outer = Epilogue(bias: second.bias, residual: result, gain: gain)
        parallel(shape[0] * blocks) { index in
            let sample = index / blocks
            let start = index % blocks * block
            let count = min(block, rows - start)
            let row = sample * rows + start
            let normed = Storage<Float>(count: count * channels)
            let corner = unsafe target + row * channels
            unsafe kernels.layer_norm(
                normed.base, channels, corner, channels, count, channels, 1e-6,
                scale, shift, nil, nil)
            let normedRows = OperandScratch(
                normed, rows: count, features: channels, for: first.matrix)
            let hiddenRows = OperandScratch(
                rows: count, features: hidden, second.matrix.keptPrecision)
            unsafe multiply(
                [(normedRows.rows, first.matrix)], rows: count, columns: 0..<hidden,
                inner.steps(sample: sample, row: 0, columns: hidden), into: hiddenRows.target)
            let converted = OperandScratch(
                hiddenRows, rows: count, features: hidden, for: second.matrix)
            unsafe multiply(
                [(converted.rows, second.matrix)], rows: count, columns: 0..<channels,
                outer.steps(sample: sample, row: row, columns: channels), into: .floats(corner))
            withExtendedLifetime((normedRows, hiddenRows, converted)) {}
        }
        return result
    }
}
