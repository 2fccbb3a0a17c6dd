internal import CWuerstchenKernels

/// What surrounds a picture for a convolution.
public enum Padding: Sendable, Hashable {
    /// Zeros.
    case zeros
    /// The nearest pixel of the border.
    case replicate
}

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
        _ weight: Tensor, kernel: Int, stride: Int = 1, padding: Int = 0,
        _ epilogue: Epilogue = Epilogue()
    ) -> Tensor {
        if kernel == 1 && stride == 1 && padding == 0 { return linear(weight, epilogue) }
        let (batch, height, width, channels) = axes4
        let outputs = weight.shape[0]
        precondition(
            height + 2 * padding >= kernel && width + 2 * padding >= kernel,
            "a kernel of \(kernel) over \(shape) padded by \(padding)")
        let outputHeight = (height + 2 * padding - kernel) / stride + 1
        let outputWidth = (width + 2 * padding - kernel) / stride + 1
        let positions = outputHeight * outputWidth
        let depth = kernel * kernel * channels
        precondition(weight.shape[1] == depth, "\(weight.shape) for \(kernel)² windows of \(shape)")
        var geometry = wk_windows(
            height: height, width: width, channels: channels, kernel: kernel, stride: stride,
            top: padding, left: padding, output_width: outputWidth)
        var result = Tensor(uninitialized: [batch, outputHeight, outputWidth, outputs])
        epilogue.check(samples: batch, columns: outputs, count: result.count)
        let target = result.mutablePointer()
        let source = pointer
        let block = windowBlock(depth: depth)
        let blocks = (positions + block - 1) / block
        withUnsafePointer(to: &geometry) { geometry in
            parallel(batch * blocks) { index in
                let sample = index / blocks
                let first = index % blocks * block
                let rows = min(block, positions - first)
                let windows = Storage(count: rows * depth)
                wk_gather_windows(
                    windows.base, source + sample * height * width * channels, first, rows,
                    geometry)
                let row = sample * positions + first
                let corner = target + row * outputs
                multiplyTransposed(
                    windows.base, stride: depth, weight.pointer, stride: depth, rows: rows,
                    columns: outputs, depth: depth, into: corner, stride: outputs)
                guard !epilogue.isEmpty else { return }
                var steps = epilogue.steps(
                    sample: sample, row: row, column: 0, columns: outputs, energy: nil)
                kernels.epilogue(corner, outputs, rows, outputs, &steps)
            }
        }
        return result
    }

    /// A transposed convolution whose kernel is a multiple of its stride, cut into one ordinary
    /// convolution for each of the stride² places that an output pixel can have between input
    /// pixels. Nothing is computed twice and the overlapping windows never exist.
    ///
    /// - Parameters:
    ///   - weight: As ``transposedConvolutionWeight(_:kernel:stride:padding:)`` arranges it.
    ///   - bias: `[outputs]`.
    ///   - kernel: Side of the kernel in pixels.
    ///   - stride: By how much the picture grows.
    ///   - padding: Rows and columns cut off on each side.
    ///   - activation: What is applied to the sums with the bias.
    /// - Returns: `[batch, height', width', outputs]` with height' = (height − 1) · stride − 2 ·
    ///   padding + kernel, and width' likewise.
    public func transposedConvolution(
        _ weight: Tensor, bias: Tensor?, kernel: Int, stride: Int, padding: Int,
        activation: Activation = .identity
    ) -> Tensor {
        let (batch, height, width, channels) = axes4
        let outputs = weight.shape[1]
        let taps = kernel / stride
        let depth = taps * taps * channels
        let outputHeight = (height - 1) * stride - 2 * padding + kernel
        let outputWidth = (width - 1) * stride - 2 * padding + kernel
        precondition(
            weight.shape == [stride * stride, outputs, depth] && bias?.count ?? outputs == outputs
                && outputHeight > 0 && outputWidth > 0,
            "\(weight.shape) for a transposed convolution of \(shape)")
        var result = Tensor(uninitialized: [batch, outputHeight, outputWidth, outputs])
        let target = result.mutablePointer()
        let source = pointer
        let epilogue = Epilogue(bias: bias, activation: activation)
        for phaseY in 0..<stride {
            let rows = TransposedPhase(phaseY, kernel: kernel, stride: stride, padding: padding)
            let phaseHeight = (outputHeight - phaseY + stride - 1) / stride
            for phaseX in 0..<stride {
                let columns = TransposedPhase(
                    phaseX, kernel: kernel, stride: stride, padding: padding)
                let phaseWidth = (outputWidth - phaseX + stride - 1) / stride
                let positions = phaseHeight * phaseWidth
                let matrix = weight.pointer + (phaseY * stride + phaseX) * outputs * depth
                var geometry = wk_windows(
                    height: height, width: width, channels: channels, kernel: taps, stride: 1,
                    top: rows.before, left: columns.before, output_width: phaseWidth)
                let block = windowBlock(depth: depth)
                let blocks = (positions + block - 1) / block
                withUnsafePointer(to: &geometry) { geometry in
                    parallel(batch * blocks) { index in
                        let sample = index / blocks
                        let first = index % blocks * block
                        let count = min(block, positions - first)
                        let windows = Storage(count: count * depth)
                        let sums = Storage(count: count * outputs)
                        wk_gather_windows(
                            windows.base, source + sample * height * width * channels, first,
                            count, geometry)
                        multiplyTransposed(
                            windows.base, stride: depth, matrix, stride: depth, rows: count,
                            columns: outputs, depth: depth, into: sums.base, stride: outputs)
                        var steps = epilogue.steps(
                            sample: sample, row: 0, column: 0, columns: outputs, energy: nil)
                        kernels.epilogue(sums.base, outputs, count, outputs, &steps)
                        for position in 0..<count {
                            let y = (first + position) / phaseWidth * stride + phaseY
                            let x = (first + position) % phaseWidth * stride + phaseX
                            let pixel = (sample * outputHeight + y) * outputWidth + x
                            (target + pixel * outputs).update(
                                from: sums.base + position * outputs, count: outputs)
                        }
                    }
                }
            }
        }
        return result
    }

    /// The weight of a transposed convolution, `[channels, outputs, kernel, kernel]` as PyTorch
    /// stores it, as a matrix for each phase: `[stride², outputs, taps · taps · channels]`.
    ///
    /// - Precondition: The kernel is a multiple of the stride.
    public static func transposedConvolutionWeight(
        _ weight: Tensor, kernel: Int, stride: Int, padding: Int
    ) -> Tensor {
        precondition(kernel % stride == 0, "a kernel of \(kernel) with stride \(stride)")
        let channels = weight.shape[0]
        let outputs = weight.shape[1]
        let taps = kernel / stride
        return Tensor([stride * stride, outputs, taps * taps * channels]) { target in
            var place = 0
            for phase in 0..<stride * stride {
                let rows = TransposedPhase(
                    phase / stride, kernel: kernel, stride: stride, padding: padding)
                let columns = TransposedPhase(
                    phase % stride, kernel: kernel, stride: stride, padding: padding)
                for output in 0..<outputs {
                    for y in 0..<taps {
                        for x in 0..<taps {
                            let offset = rows.kernelIndex(y) * kernel + columns.kernelIndex(x)
                            for channel in 0..<channels {
                                target[place] =
                                    weight.pointer[
                                        (channel * outputs + output) * kernel * kernel + offset]
                                place += 1
                            }
                        }
                    }
                }
            }
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
        return Tensor(flat.shape) { target in
            guard let base = target.baseAddress else { return }
            wk_transpose(base, weight.pointer, outputs, channels, window)
        }
    }

    /// A depthwise convolution (each channel by itself), and layer normalisation of its result
    /// while the row is in the cache.
    ///
    /// - Parameters:
    ///   - weight: `[kernel · kernel, channels]`.
    ///   - bias: `[channels]`.
    ///   - kernel: Side of the kernel in pixels; `kernel / 2` pixels are padded on each side.
    ///   - stride: Distance of neighbouring windows in pixels.
    ///   - padding: What surrounds the picture.
    ///   - gain: A factor for the result, the bias included.
    ///   - residual: What is added to the result, in its shape.
    ///   - inputNormalization: A layer norm of the input (ε = 10⁻⁶), then a factor and a summand
    ///     for all channels; nil for none. It is done row by row, as the rows are needed.
    ///   - normalization: The ε of a layer norm of the result, which is done last; nil for none.
    /// - Returns: `[batch, height', width', channels]` with height' = ⌊(height + 2 · ⌊kernel / 2⌋ −
    ///   kernel) / stride⌋ + 1, and width' likewise.
    public func depthwiseConvolution(
        _ weight: Tensor, bias: Tensor, kernel: Int = 3, stride: Int = 1,
        padding: Padding = .zeros, gain: Float = 1, residual: Tensor? = nil,
        inputNormalization: (scale: Float, shift: Float)? = nil, normalization: Float? = nil
    ) -> Tensor {
        let (batch, height, width, channels) = axes4
        let margin = kernel / 2
        let outputHeight = (height + 2 * margin - kernel) / stride + 1
        let outputWidth = (width + 2 * margin - kernel) / stride + 1
        precondition(
            weight.shape == [kernel * kernel, channels] && bias.count == channels,
            "\(weight.shape) for a depthwise convolution of \(shape)")
        precondition(
            residual == nil || residual?.count == batch * outputHeight * outputWidth * channels,
            "a residual \(residual?.shape as Any) for a depthwise convolution of \(shape)")
        var geometry = wk_depthwise(
            kernel_height: kernel, kernel_width: kernel, stride: stride, padding: margin,
            input_width: width, output_width: outputWidth, channels: channels,
            replicate: padding == .replicate)
        var result = Tensor(uninitialized: [batch, outputHeight, outputWidth, channels])
        let target = result.mutablePointer()
        let source = pointer
        let rowLength = width * channels
        // Rows are computed in bands. A band normalises the rows it reads for itself, those that it
        // shares with its neighbours too.
        let band = inputNormalization == nil ? 1 : 16
        let bands = (outputHeight + band - 1) / band
        withUnsafePointer(to: &geometry) { geometry in
            parallel(batch * bands) { index in
                let sample = index / bands
                let outputs =
                    index % bands * band..<min(outputHeight, (index % bands + 1) * band)
                let first = max(0, outputs.lowerBound * stride - margin)
                let last = min(height, (outputs.upperBound - 1) * stride - margin + kernel)
                var picture = source + sample * height * rowLength
                var normed: Storage?
                if let inputNormalization {
                    let rows = Storage(count: (last - first) * rowLength)
                    kernels.layer_norm(
                        rows.base, channels, picture + first * rowLength, channels,
                        (last - first) * width, channels, 1e-6, inputNormalization.scale,
                        inputNormalization.shift, nil, nil)
                    picture = UnsafePointer(rows.base) - first * rowLength
                    normed = rows
                }
                withExtendedLifetime(normed) {
                    for output in outputs {
                        let top = output * stride - margin
                        let place = (sample * outputHeight + output) * outputWidth * channels
                        let sourceRows: [UnsafePointer<Float>?] = (top..<top + kernel).map { y in
                            if y < 0 || y >= height, padding == .zeros { return nil }
                            return picture + min(max(y, 0), height - 1) * rowLength
                        }
                        kernels.depthwise_row(
                            target + place, channels, sourceRows, weight.pointer, bias.pointer,
                            gain, residual.map { $0.pointer + place }, geometry)
                        if let epsilon = normalization {
                            kernels.layer_norm(
                                target + place, channels, target + place, channels, outputWidth,
                                channels, epsilon, 1, 0, nil, nil)
                        }
                    }
                }
            }
        }
        return result
    }

    /// How many windows are gathered at a time: enough for an efficient product, and few enough to
    /// stay in the cache.
    private func windowBlock(depth: Int) -> Int {
        max(16, min(256, (1 << 18) / max(1, depth)))
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
