internal import CWuerstchenKernels

extension Tensor {
    /// `x + gain · (W₂ · GELU(W₁ · t + b₁) + b₂)` with `t = layer norm of x · scale + shift`.
    ///
    /// Nothing in it looks beyond one position, so it is computed block by block of positions and
    /// the four times wider layer between the products never exists as a whole.
    ///
    /// - Parameters:
    ///   - scale: A factor after the norm (ε = 10⁻⁶).
    ///   - shift: A summand after the norm.
    ///   - first: W₁ `[hidden, channels]` and b₁ `[hidden]`.
    ///   - second: W₂ `[channels, hidden]` and b₂ `[channels]`.
    ///   - gain: A factor for what is added.
    /// - Returns: A tensor of the same shape.
    public consuming func addingPerceptron(
        scale: Float, shift: Float, _ first: (weight: Tensor, bias: Tensor?),
        _ second: (weight: Tensor, bias: Tensor?), gain: Float
    ) -> Tensor {
        // In place where nobody else looks at the elements: a block reads its own rows alone.
        var result = self
        let shape = result.shape
        let channels = shape.channels
        let hidden = first.weight.shape[0]
        precondition(
            first.weight.shape == [hidden, channels] && second.weight.shape == [channels, hidden]
                && first.bias?.count ?? hidden == hidden
                && second.bias?.count ?? channels == channels,
            "\(first.weight.shape) and \(second.weight.shape) for \(shape)")
        let rows = shape.count / max(1, shape[0] * channels)
        let block = 256
        let blocks = (rows + block - 1) / block
        let target = result.mutablePointer()
        let inner = Epilogue(bias: first.bias, activation: .gelu)
        let outer = Epilogue(bias: second.bias, residual: result, gain: gain)
        parallel(shape[0] * blocks) { index in
            let sample = index / blocks
            let start = index % blocks * block
            let count = min(block, rows - start)
            let row = sample * rows + start
            let normed = Storage(count: count * channels)
            let wide = Storage(count: count * hidden)
            let corner = target + row * channels
            kernels.layer_norm(
                normed.base, channels, corner, channels, count, channels, 1e-6,
                scale, shift, nil, nil)
            multiplyTransposed(
                normed.base, stride: channels, first.weight.pointer, stride: channels, rows: count,
                columns: hidden, depth: channels, into: wide.base, stride: hidden)
            var steps = inner.steps(
                sample: sample, row: 0, column: 0, columns: hidden, energy: nil)
            kernels.epilogue(wide.base, hidden, count, hidden, &steps)
            multiplyTransposed(
                wide.base, stride: hidden, second.weight.pointer, stride: hidden, rows: count,
                columns: channels, depth: hidden, into: normed.base, stride: channels)
            steps = outer.steps(
                sample: sample, row: row, column: 0, columns: channels, energy: nil)
            kernels.epilogue(normed.base, channels, count, channels, &steps)
            corner.update(from: normed.base, count: count * channels)
        }
        return result
    }
}
