internal import CWuerstchenKernels

extension Tensor {
    /// A convolution (cross-correlation) with a square kernel and zero padding.
    ///
    /// - Parameters:
    ///   - weight: `[outputs, kernel · kernel · channels]`, innermost first channels, then columns,
    ///     then rows of the kernel.
    ///   - kernel: Side of the kernel in pixels.
    ///   - stride: Distance of neighbouring windows in pixels.
    ///   - padding: Rows and columns of zeros on each side.
    ///   - epilogue: Bias, activation, residual and so on.
    /// - Returns: `[batch, height', width', outputs]`.
    public func convolution(
        _ weight: PackedWeight, kernel: Int, stride: Int = 1, padding: Int = 0,
        _ epilogue: Epilogue = Epilogue()
    ) -> Tensor {
        if kernel == 1 && stride == 1 && padding == 0 { return linear(weight, epilogue) }
        let (batch, height, width, channels) = axes4
        let outputs = weight.outputs
        precondition(
            height + 2 * padding >= kernel && width + 2 * padding >= kernel,
            "a kernel of \(kernel) over \(shape) padded by \(padding)")
        let outputHeight = (height + 2 * padding - kernel) / stride + 1
        let outputWidth = (width + 2 * padding - kernel) / stride + 1
        let positions = outputHeight * outputWidth
        let depth = kernel * kernel * channels
        precondition(
            weight.features == depth,
            "\(weight.features) features for \(kernel)² windows of \(shape)")
        let geometry = wk_windows(
            height: height, width: width, channels: channels, kernel: kernel, stride: stride,
            top: padding, left: padding, output_width: outputWidth)
        if Recording.isOn([edge, weight.tracked?.edge] + epilogue.edges) {
            let windows = Windows(shape: shape, geometry: geometry, positions: positions)
            return recordedConvolution(weight, windows, epilogue) {
                convolution(weight, kernel: kernel, stride: stride, padding: padding, $0)
            }
        }
        var result = Tensor(uninitialized: [batch, outputHeight, outputWidth, outputs])
        epilogue.check(samples: batch, columns: outputs, count: result.count)
        let target = unsafe result.mutablePointer()
        let source = WindowSource(self, for: weight)
        let block = windowBlock(depth: depth)
        let blocks = (positions + block - 1) / block
        parallel(batch * blocks) { index in
            let sample = index / blocks
            let first = index % blocks * block
            let rows = min(block, positions - first)
            let row = sample * positions + first
            let windows = source.windows(
                geometry, ofSample: sample, first: first, count: rows, for: weight)
            unsafe multiply(
                [(windows.rows, weight)], rows: rows, columns: 0..<outputs,
                epilogue.steps(sample: sample, row: row, columns: outputs),
                into: .floats(target + row * outputs))
            withExtendedLifetime(windows) {}
        }
        return result
    }

    /// A transposed convolution whose kernel is a multiple of its stride, cut into one ordinary
    /// convolution for each of the stride² places that an output pixel can have between input
    /// pixels. Nothing is computed twice and the overlapping windows never exist.
    ///
    /// - Parameters:
    ///   - phases: The weight as ``transposedConvolutionWeight(_:kernel:stride:padding:)`` cuts it.
    ///   - bias: `[outputs]`.
    ///   - kernel: Side of the kernel in pixels.
    ///   - stride: By how much the image grows.
    ///   - padding: Rows and columns cut off on each side.
    ///   - activation: What is applied to the sums with the bias.
    /// - Returns: `[batch, height', width', outputs]` with height' = (height − 1) · stride − 2 ·
    ///   padding + kernel, and width' likewise.
    public func transposedConvolution(
        _ phases: [PackedWeight], bias: Tensor?, kernel: Int, stride: Int, padding: Int,
        activation: Activation = .identity
    ) -> Tensor {
        let (batch, height, width, channels) = axes4
        let outputs = phases[0].outputs
        let taps = kernel / stride
        let depth = taps * taps * channels
        let outputHeight = (height - 1) * stride - 2 * padding + kernel
        let outputWidth = (width - 1) * stride - 2 * padding + kernel
        precondition(
            phases.count == stride * stride
                && phases.allSatisfy { $0.outputs == outputs && $0.features == depth }
                && bias?.count ?? outputs == outputs && outputHeight > 0 && outputWidth > 0,
            "\(phases.count) matrices of \(phases[0].features) features for a transposed "
                + "convolution of \(shape)")
        var result = Tensor(uninitialized: [batch, outputHeight, outputWidth, outputs])
        let target = unsafe result.mutablePointer()
        let source = WindowSource(self, for: phases[0])
        let isRecorded = Recording.isOn([edge, bias?.edge] + phases.map { $0.tracked?.edge })
        let epilogue = Epilogue(bias: bias, activation: isRecorded ? .identity : activation)
        let parts = phases.indices.map { phase in
            let rows = TransposedPhase(
                phase / stride, kernel: kernel, stride: stride, padding: padding)
            let columns = TransposedPhase(
                phase % stride, kernel: kernel, stride: stride, padding: padding)
            let phaseWidth = (outputWidth - phase % stride + stride - 1) / stride
            return Windows(
                shape: shape,
                geometry: wk_windows(
                    height: height, width: width, channels: channels, kernel: taps, stride: 1,
                    top: rows.before, left: columns.before, output_width: phaseWidth),
                positions: (outputHeight - phase / stride + stride - 1) / stride * phaseWidth)
        }
        let block = windowBlock(depth: depth)
        let blocks = (parts.map(\.positions).reduce(0, max) + block - 1) / block
        // All phases at once: of a small map each has few blocks.
        parallel(batch * parts.count * blocks) { index in
            let (sample, phase) = (index / blocks / parts.count, index / blocks % parts.count)
            let (part, matrix) = (parts[phase], phases[phase])
            let first = index % blocks * block
            let count = min(block, part.positions - first)
            guard count > 0 else { return }
            let windows = source.windows(
                part.geometry, ofSample: sample, first: first, count: count, for: matrix)
            let sums = Storage<Float>(count: count * outputs)
            unsafe multiply(
                [(windows.rows, matrix)], rows: count, columns: 0..<outputs,
                epilogue.steps(sample: sample, row: 0, columns: outputs),
                into: .floats(sums.base))
            let phaseWidth = part.geometry.output_width
            for position in 0..<count {
                let y = (first + position) / phaseWidth * stride + phase / stride
                let x = (first + position) % phaseWidth * stride + phase % stride
                let pixel = (sample * outputHeight + y) * outputWidth + x
                unsafe (target + pixel * outputs).update(
                    from: sums.base + position * outputs, count: outputs)
            }
            withExtendedLifetime((windows, sums)) {}
        }
        guard isRecorded else { return result }
        return recordedTransposedConvolution(
            phases, parts, bias: bias, stride: stride, result
        ).finished(by: Epilogue(activation: activation))
    }

    /// The weight of a transposed convolution, `[channels, outputs, kernel, kernel]` as PyTorch
    /// stores it, as a matrix `[outputs, taps · taps · channels]` for each of the stride² phases.
    ///
    /// - Precondition: The kernel is a multiple of the stride.
    public static func transposedConvolutionWeight(
        _ weight: Tensor, kernel: Int, stride: Int, padding: Int
    ) -> [Tensor] {
        (0..<stride * stride).map {
            transposedConvolutionWeight(
                weight, kernel: kernel, stride: stride, padding: padding, phase: $0)
        }
    }

    /// The matrix of one of the phases.
    ///
    /// - Precondition: The kernel is a multiple of the stride.
    public static func transposedConvolutionWeight(
        _ weight: Tensor, kernel: Int, stride: Int, padding: Int, phase: Int
    ) -> Tensor {
        precondition(kernel % stride == 0, "a kernel of \(kernel) with stride \(stride)")
        let channels = weight.shape[0]
        let outputs = weight.shape[1]
        let taps = kernel / stride
        let rows = TransposedPhase(
            phase / stride, kernel: kernel, stride: stride, padding: padding)
        let columns = TransposedPhase(
            phase % stride, kernel: kernel, stride: stride, padding: padding)
        // Where each element of the phase is in the weight.
        func forEachElement(_ body: (_ place: Int, _ source: Int) -> Void) {
            var place = 0
            for output in 0..<outputs {
                for y in 0..<taps {
                    for x in 0..<taps {
                        let offset = rows.kernelIndex(y) * kernel + columns.kernelIndex(x)
                        for channel in 0..<channels {
                            body(place, (channel * outputs + output) * kernel * kernel + offset)
                            place += 1
                        }
                    }
                }
            }
        }
        let result = unsafe Tensor([outputs, taps * taps * channels]) { target in
            forEachElement { unsafe target[$0] = unsafe weight.pointer[$1] }
        }
        guard Recording.isOn(weight.edge) else { return result }
        let whole = weight.shape
        return result.recorded(from: weight.edge) { gradient in
            var sum = Tensor(repeating: 0, whole)
            let target = unsafe sum.mutablePointer()
            forEachElement { unsafe target[$1] = unsafe gradient.pointer[$0] }
            return [sum]
        }
    }

    /// A convolution weight from PyTorch's `[outputs, channels, kernel, kernel]` to
    /// `[outputs, kernel · kernel · channels]`, the order of channels-last windows.
    public static func convolutionWeight(_ weight: Tensor) -> Tensor {
        precondition(weight.shape.rank == 4, "\(weight.shape) is not a convolution's weight")
        let (outputs, channels) = (weight.shape[0], weight.shape[1])
        let window = weight.shape[2] * weight.shape[3]
        let flat = weight.reshaped(to: [outputs, window * channels])
        if window == 1 { return flat }
        let result = unsafe Tensor(flat.shape) { target in
            guard let base = target.baseAddress else { return }
            unsafe wk_transpose(base, weight.pointer, outputs, channels, window)
        }
        guard Recording.isOn(weight.edge) else { return result }
        let whole = weight.shape
        return result.recorded(from: weight.edge) { gradient in
            unsafe [
                Tensor(whole) { target in
                    guard let base = target.baseAddress else { return }
                    unsafe wk_transpose(base, gradient.pointer, outputs, window, channels)
                }
            ]
        }
    }

    /// How many windows are gathered at a time: enough for an efficient product, and few enough to
    /// stay in the cache.
    private func windowBlock(depth: Int) -> Int {
        max(16, min(256, (1 << 18) / max(1, depth)))
    }
}

/// Images as windows are gathered from them. Where a matrix takes bfloat16 and a pixel is whole
/// words of them, the pixels are converted once instead of in every window.
private struct WindowSource {
    private let pixels: Operand

    init(_ images: Tensor, for matrix: PackedWeight) {
        let isBFloat16 =
            matrix.operandPrecision == .bfloat16 && images.shape.channels % 2 == 0
        pixels = Operand(images.detached()).converted(to: isBFloat16 ? .bfloat16 : .float32)
    }

    /// Some windows as rows for products with a matrix.
    func windows(
        _ geometry: wk_windows, ofSample sample: Int, first: Int, count: Int,
        for matrix: PackedWeight
    ) -> OperandScratch {
        let depth = geometry.kernel * geometry.kernel * geometry.channels
        var geometry = geometry
        geometry.channels = pixels.precision.words(geometry.channels)
        let words = OperandScratch(rows: count, features: depth, pixels.precision)
        unsafe wk_gather_windows(
            words.rows.start, pixels.rows(from: sample * pixels.rowsInSample).start, first, count,
            &geometry)
        return OperandScratch(words, rows: count, features: depth, for: matrix)
    }
}

/// Which kernel rows (or columns) reach the output rows of one phase of a transposed convolution:
/// output `stride · m + phase` sees the inputs from `m − before` on, `kernel / stride` of them.
private struct TransposedPhase {
    let before: Int
    private let last: Int
    private let stride: Int

    init(_ phase: Int, kernel: Int, stride: Int, padding: Int) {
        let taps = kernel / stride
        // Output Y meets input y under kernel row Y + padding − stride · y. The smallest such row
        // belongs to the last input, the largest to the first.
        let first = (phase + padding) % stride
        last = first + (taps - 1) * stride
        before = (taps - 1) - (phase + padding - first) / stride
        self.stride = stride
    }

    func kernelIndex(_ tap: Int) -> Int { last - tap * stride }
}
