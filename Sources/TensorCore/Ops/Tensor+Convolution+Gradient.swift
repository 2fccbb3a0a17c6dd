internal import CWuerstchenKernels

/// The windows of a convolution over channels-last images, as rows of a matrix product.
struct Windows {
    let shape: Shape
    let geometry: wk_windows
    /// Windows of one image.
    let positions: Int

    var depth: Int { geometry.kernel * geometry.kernel * geometry.channels }

    /// The windows of all images, `[batch, positions, kernel · kernel · channels]`.
    func gathered(from images: Tensor) -> Tensor {
        var result = Tensor(uninitialized: [shape[0], positions, depth])
        let target = unsafe result.mutablePointer()
        let image = shape.count(of: 1..<4)
        forEachBlock { sample, first, count in
            unsafe withUnsafePointer(to: geometry) {
                unsafe wk_gather_windows(
                    target + (sample * positions + first) * depth,
                    images.pointer + sample * image, first, count, $0)
            }
        }
        return result
    }

    /// Adds the gradients of windows to those of the images.
    ///
    /// - Parameters:
    ///   - gradient: `[batch, positions, outputs]`.
    ///   - matrix: The weight `[outputs, depth]` that the windows were multiplied with.
    ///   - target: The gradient of all images.
    /// - Throws: ``WuerstchenError`` for 8-bit weights.
    func scatter(
        _ gradient: Operand, through matrix: PackedWeight, into target: UnsafeMutablePointer<Float>
    ) throws {
        let transposed = try matrix.transposedForGradients()
        let rows = gradient.converted(to: transposed.operandPrecision)
        let image = shape.count(of: 1..<4)
        // Windows overlap, so an image is one thread's.
        let block = blockSize
        parallel(shape[0]) { sample in
            let windows = Storage<Float>(count: block * depth)
            for first in stride(from: 0, to: positions, by: block) {
                let count = min(block, positions - first)
                unsafe multiply(
                    [(rows.rows(from: sample * positions + first), transposed)], rows: count,
                    columns: 0..<depth, Epilogue().steps(sample: 0, row: 0, columns: depth),
                    into: .floats(windows.base))
                unsafe withUnsafePointer(to: geometry) {
                    unsafe wk_scatter_windows(
                        target + sample * image, windows.base, first, count, $0)
                }
            }
            withExtendedLifetime(windows) {}
        }
    }

    private var blockSize: Int { max(16, min(256, (1 << 18) / max(1, depth))) }

    private func forEachBlock(_ body: (_ sample: Int, _ first: Int, _ count: Int) -> Void) {
        let block = blockSize
        let blocks = (positions + block - 1) / block
        parallel(shape[0] * blocks) { index in
            let first = index % blocks * block
            body(index / blocks, first, min(block, positions - first))
        }
    }
}

extension Tensor {
    /// A convolution with what its gradients need; see ``recordedLinear(_:_:)``.
    func recordedConvolution(
        _ weight: PackedWeight, _ windows: Windows, _ epilogue: Epilogue,
        compute: (Epilogue) -> Tensor
    ) -> Tensor {
        guard epilogue.activation == .identity, epilogue.scale == nil, epilogue.residual == nil,
            epilogue.gain == 1, epilogue.modulation == nil
        else {
            var first = Epilogue()
            if epilogue.scale == nil { first.bias = epilogue.bias }
            let sums = recordedConvolution(weight, windows, first, compute: compute)
            return sums.finished(by: epilogue)
        }
        let result = withoutGradients { compute(epilogue) }
        let bias = epilogue.bias
        return result.recorded(from: edge, weight.tracked?.edge, bias?.edge) { gradient in
            let rows = Operand(
                gradient.reshaped(to: [gradient.shape[0], windows.positions, weight.outputs]))
            return [
                try edge.map { _ in
                    var sum = Tensor(repeating: 0, self.shape)
                    try unsafe windows.scatter(rows, through: weight, into: sum.mutablePointer())
                    return sum
                },
                try weight.tracked.map { _ in
                    try weight.checkDifferentiable()
                    return Tensor.productOverRows(
                        rows.forProducts(with: weight), Operand(windows.gathered(from: self)))
                },
                bias?.edge.map { _ in gradient.columnSums(as: bias?.shape ?? []) },
            ]
        }
    }

    /// A transposed convolution with what its gradients need.
    func recordedTransposedConvolution(
        _ phases: [PackedWeight], _ windows: [Windows], bias: Tensor?, stride: Int, _ result: Tensor
    ) -> Tensor {
        let edges = [edge, bias?.edge] + phases.map { $0.tracked?.edge }
        return result.recorded(fromAll: edges) { gradient in
            var sum = Tensor(repeating: 0, self.shape)
            let target = unsafe sum.mutablePointer()
            let weights = try phases.indices.map { phase -> Tensor? in
                let part = gradient.phase(
                    phase / stride, phase % stride, stride: stride,
                    positions: windows[phase].positions)
                let rows = Operand(part)
                if edge != nil {
                    try unsafe windows[phase].scatter(rows, through: phases[phase], into: target)
                }
                return try phases[phase].tracked.map { _ in
                    try phases[phase].checkDifferentiable()
                    return Tensor.productOverRows(
                        rows.forProducts(with: phases[phase]),
                        Operand(windows[phase].gathered(from: self)))
                }
            }
            return [
                edge.map { _ in sum },
                bias?.edge.map { _ in gradient.columnSums(as: bias?.shape ?? []) },
            ] + weights
        }
    }

    /// Every `stride`-th pixel of every `stride`-th row, from a row and a column on:
    /// `[batch, positions, channels]`.
    private func phase(_ row: Int, _ column: Int, stride: Int, positions: Int) -> Tensor {
        let (batch, height, width, channels) = axes4
        let phaseWidth = (width - column + stride - 1) / stride
        var result = Tensor(uninitialized: [batch, positions, channels])
        let target = unsafe result.mutablePointer()
        parallel(batch) { sample in
            for position in 0..<positions {
                let y = position / phaseWidth * stride + row
                let x = position % phaseWidth * stride + column
                unsafe (target + (sample * positions + position) * channels).update(
                    from: pointer + ((sample * height + y) * width + x) * channels, count: channels)
            }
        }
        return result
    }

    /// What an epilogue does behind its sums, operation by operation. The bias is in the sums
    /// already, unless there is a scale before it.
    func finished(by epilogue: Epilogue) -> Tensor {
        var result = self
        if let scale = epilogue.scale {
            let bias = epilogue.bias ?? Tensor(repeating: 0, scale.shape)
            result = result.scaledChannels(by: scale, shift: bias)
        }
        if epilogue.activation != .identity { result = result.activated(epilogue.activation) }
        if let residual = epilogue.residual {
            result = Tensor.combine(
                1, residual.reshaped(to: result.shape), epilogue.gain, result)
        } else if epilogue.gain != 1 {
            result = result.scaled(by: epilogue.gain)
        }
        return epilogue.modulation.map { result.modulated(by: $0) } ?? result
    }
}

extension Operand {
    /// These rows in the numbers in which their products with a matrix's gradients are taken.
    func forProducts(with matrix: PackedWeight) -> Operand {
        let isLowPrecision =
            unsafe matrix.precision != .float32
            && Precision.bfloat16.gemm?.pointee.interleave != nil
        return converted(to: isLowPrecision ? .bfloat16 : .float32)
    }
}
