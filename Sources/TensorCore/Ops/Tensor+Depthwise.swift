internal import CWuerstchenKernels

extension Tensor {
    /// A depthwise convolution (each channel by itself) with zero padding.
    ///
    /// - Parameters:
    ///   - weight: `[kernel · kernel, channels]`.
    ///   - bias: `[channels]`.
    ///   - kernel: Side of the kernel in pixels; `kernel / 2` pixels are padded on each side.
    ///   - stride: Distance of neighbouring windows in pixels.
    /// - Returns: `[batch, height', width', channels]` with height' = ⌊(height + 2 · ⌊kernel / 2⌋ −
    ///   kernel) / stride⌋ + 1, and width' likewise.
    public func depthwiseConvolution(
        _ weight: Tensor, bias: Tensor, kernel: Int = 3, stride: Int = 1
    ) -> Tensor {
        depthwiseConvolution(weight, bias, kernel: kernel, stride: stride, padding: .zeros)
    }

    private func depthwiseConvolution(
        _ weight: Tensor, _ bias: Tensor, kernel: Int, stride: Int, padding: Padding
    ) -> Tensor {
        let convolution = DepthwiseRows(
            of: shape, weight, bias, kernel: kernel, stride: stride, padding: padding)
        var result = Tensor(uninitialized: convolution.outputShape)
        let target = unsafe result.mutablePointer()
        let image = convolution.inputLength * shape[1]
        parallel(convolution.rowCount) { row in
            let (sample, y) = (row / convolution.outputShape[1], row % convolution.outputShape[1])
            unsafe convolution.compute(y, into: target + row * convolution.outputLength) {
                unsafe pointer + sample * image + $0 * convolution.inputLength
            }
        }
        guard Recording.isOn(edge, weight.edge, bias.edge) else { return result }
        return result.recorded(from: edge, weight.edge, bias.edge) { gradient in
            let input = edge.map { _ in convolution.inputGradient(gradient, self.shape) }
            guard weight.isTracked || bias.isTracked else { return [input, nil, nil] }
            let (weightGradient, biasGradient) = convolution.parameterGradients(gradient, self)
            return [input, weightGradient, biasGradient]
        }
    }

    /// `x + gain · convolution of t`, with `t = layer norm of x · scale + shift` and a depthwise
    /// convolution whose border repeats.
    ///
    /// It is computed in place where nobody else looks at the elements, in bands of rows: each row
    /// is normalised into memory of the band's own just before the first output row that reads it.
    /// The rows beyond the ends of a band, which its neighbours may have overwritten by then, are
    /// set aside before the first band begins.
    ///
    /// - Parameters:
    ///   - weight: `[kernel · kernel, channels]`.
    ///   - bias: `[channels]`.
    ///   - kernel: Side of the kernel in pixels, odd.
    ///   - mixing: Scale and shift after the norm (ε = 10⁻⁶), and the gain of what is added.
    /// - Returns: A tensor of the same shape.
    public consuming func addingDepthwiseConvolution(
        _ weight: Tensor, bias: Tensor, kernel: Int = 3, mixing: Mixing
    ) -> Tensor {
        precondition(kernel % 2 == 1, "a kernel of \(kernel) has no middle")
        if Recording.isOn(edge, weight.edge, bias.edge, mixing.numbers.edge) {
            let x = self
            return mixing.adding(to: x) {
                $0.depthwiseConvolution(
                    weight, bias, kernel: kernel, stride: 1, padding: .replicate)
            }
        }
        let (scale, shift, gain) = (mixing.scale, mixing.shift, mixing.gain)
        var result = self
        let shape = result.shape
        let convolution = DepthwiseRows(
            of: shape, weight, bias, kernel: kernel, stride: 1, padding: .replicate)
        let (height, width, channels) = (shape[1], shape[2], shape[3])
        let margin = kernel / 2
        let length = convolution.inputLength
        let band = max(32, margin)
        let bands = (height + band - 1) / band
        let target = unsafe result.mutablePointer()
        // Around each end of a band, the last rows before it and the first after it.
        let borders = Storage<Float>(count: shape[0] * bands * 2 * margin * length)
        func border(_ sample: Int, _ end: Int, row: Int) -> UnsafeMutablePointer<Float> {
            unsafe borders.base
                + ((sample * bands + end / band - 1) * 2 * margin + row - end + margin) * length
        }
        parallel(shape[0] * bands) { index in
            let (sample, end) = (index / bands, (index % bands + 1) * band)
            for row in end - margin..<end + margin where row < height {
                unsafe border(sample, end, row: row).update(
                    from: target + (sample * height + row) * length, count: length)
            }
        }
        parallel(shape[0] * bands) { index in
            let (sample, number) = (index / bands, index % bands)
            let outputs = number * band..<min(height, (number + 1) * band)
            let image = unsafe target + sample * height * length
            // A ring of normalised rows.
            let ring = Storage<Float>(count: kernel * length)
            func normed(_ row: Int) -> UnsafeMutablePointer<Float> {
                unsafe ring.base + row % kernel * length
            }
            var next = max(0, outputs.lowerBound - margin)
            for output in outputs {
                while next <= min(height - 1, output + margin) {
                    let source =
                        if next < outputs.lowerBound {
                            unsafe border(sample, outputs.lowerBound, row: next)
                        } else if next >= outputs.upperBound {
                            unsafe border(sample, outputs.upperBound, row: next)
                        } else { unsafe image + next * length }
                    unsafe kernels.layer_norm(
                        normed(next), channels, source, channels, width, channels, 1e-6, scale,
                        shift, nil, nil)
                    next += 1
                }
                let place = unsafe image + output * length
                unsafe convolution.compute(output, into: place, gain: gain, residual: place) {
                    unsafe UnsafePointer(normed($0))
                }
            }
            withExtendedLifetime(ring) {}
        }
        withExtendedLifetime(borders) {}
        return result
    }

    /// A depthwise convolution with zero padding and a layer norm of its result, as the left factor
    /// of products with a matrix. Each row is normalised and converted while it is in the cache.
    ///
    /// - Parameters:
    ///   - weight: `[kernel · kernel, channels]`.
    ///   - bias: `[channels]`.
    ///   - kernel: Side of the kernel in pixels; `kernel / 2` pixels are padded on each side.
    ///   - epsilon: The ε of the layer norm.
    ///   - matrix: What the result will be multiplied with.
    /// - Returns: `[batch, height', width', channels]`.
    public func normalizedDepthwiseConvolution(
        _ weight: Tensor, bias: Tensor, kernel: Int = 3, epsilon: Float = 1e-6,
        for matrix: PackedWeight
    ) -> Operand {
        if Recording.isOn(edge, weight.edge, bias.edge) {
            return depthwiseConvolution(weight, bias: bias, kernel: kernel)
                .layerNormalized(epsilon: epsilon, for: matrix)
        }
        let convolution = DepthwiseRows(
            of: shape, weight, bias, kernel: kernel, stride: 1, padding: .zeros)
        let (channels, width) = (shape.channels, convolution.outputShape[2])
        let result = Operand(uninitialized: convolution.outputShape, matrix.operandPrecision)
        let image = convolution.inputLength * shape[1]
        parallel(convolution.rowCount) { row in
            let (sample, y) = (row / convolution.outputShape[1], row % convolution.outputShape[1])
            unsafe result.writeRows(from: row * width, count: width) { sums in
                unsafe convolution.compute(y, into: sums) {
                    unsafe pointer + sample * image + $0 * convolution.inputLength
                }
                unsafe kernels.layer_norm(
                    sums, channels, sums, channels, width, channels, epsilon, 1, 0, nil, nil)
            }
        }
        return result
    }
}

/// What surrounds an image for a convolution.
private enum Padding {
    /// Zeros.
    case zeros
    /// The nearest pixel of the border.
    case replicate
}

/// A depthwise convolution, one output row at a time.
private struct DepthwiseRows {
    let outputShape: Shape
    /// Elements of an input row.
    let inputLength: Int
    private let weight: Tensor
    private let bias: Tensor
    private let geometry: wk_depthwise
    private let height: Int

    init(
        of shape: Shape, _ weight: Tensor, _ bias: Tensor, kernel: Int, stride: Int,
        padding: Padding
    ) {
        precondition(
            shape.rank == 4 && weight.shape == [kernel * kernel, shape.channels]
                && bias.count == shape.channels,
            "\(weight.shape) for a depthwise convolution of \(shape)")
        let (width, channels, margin) = (shape[2], shape[3], kernel / 2)
        height = shape[1]
        let outputWidth = (width + 2 * margin - kernel) / stride + 1
        outputShape = [
            shape[0], (height + 2 * margin - kernel) / stride + 1, outputWidth, channels,
        ]
        inputLength = width * channels
        (self.weight, self.bias) = (weight, bias)
        geometry = wk_depthwise(
            kernel_height: kernel, kernel_width: kernel, stride: stride, padding: margin,
            input_width: width, output_width: outputWidth, channels: channels,
            replicate: padding == .replicate)
    }

    /// Elements of an output row.
    var outputLength: Int { outputShape[2] * outputShape[3] }

    /// Output rows of all images.
    var rowCount: Int { outputShape[0] * outputShape[1] }

    /// Computes `residual + gain · convolution` for one output row, `residual` being a row like it.
    func compute(
        _ output: Int, into target: UnsafeMutablePointer<Float>, gain: Float = 1,
        residual: UnsafePointer<Float>? = nil, inputRow: (Int) -> UnsafePointer<Float>
    ) {
        let rows = unsafe inputRows(output, inputRow)
        unsafe withUnsafePointer(to: geometry) {
            unsafe kernels.depthwise_row(
                target, outputShape.channels, rows, weight.pointer, bias.pointer, gain, residual, $0
            )
        }
    }

    /// The input rows under the kernel's rows for an output row, nil where there is none.
    private func inputRows(
        _ output: Int, _ inputRow: (Int) -> UnsafePointer<Float>
    ) -> [UnsafePointer<Float>?] {
        let top = output * geometry.stride - geometry.padding
        return unsafe (top..<top + geometry.kernel_height).map { y in
            if y < 0 || y >= height, !geometry.replicate { return nil }
            return unsafe inputRow(min(max(y, 0), height - 1))
        }
    }

    // MARK: Gradients

    /// The gradients of weight and bias, from that of the result and from the input.
    func parameterGradients(_ gradient: Tensor, _ input: Tensor) -> (Tensor, Tensor) {
        let taps = weight.shape[0]
        let channels = outputShape.channels
        let image = inputLength * height
        // Some output rows at a time; the kernel's sums, then the bias's.
        let band = max(1, (1 << 15) / max(1, outputLength))
        let bands = (rowCount + band - 1) / band
        let length = (taps + 1) * channels
        let sums = Storage<Float>(count: max(1, bands) * length)
        sums.fill(with: 0)
        parallel(bands) { index in
            let target = unsafe sums.base + index * length
            for row in index * band..<min(rowCount, (index + 1) * band) {
                let sample = row / outputShape[1]
                let rows = unsafe inputRows(row % outputShape[1]) {
                    unsafe input.pointer + sample * image + $0 * inputLength
                }
                unsafe withUnsafePointer(to: geometry) {
                    unsafe kernels.depthwise_weight_gradient(
                        target, target + taps * channels, gradient.pointer + row * outputLength,
                        rows, $0)
                }
            }
        }
        let total = unsafe Tensor([taps + 1, channels]) { total in
            unsafe total.update(repeating: 0)
            guard let base = total.baseAddress else { return }
            unsafe kernels.sum_columns(base, sums.base, length, bands, length)
        }
        return (
            total[0..<taps].reshaped(to: weight.shape),
            total[taps..<taps + 1].reshaped(to: bias.shape)
        )
    }

    /// The gradient of the input.
    func inputGradient(_ gradient: Tensor, _ shape: Shape) -> Tensor {
        let kernel = geometry.kernel_height
        if geometry.stride == 1, !geometry.replicate, kernel % 2 == 1 {
            // The adjoint of a correlation is the correlation with the kernel turned around.
            let taps = weight.shape[0]
            let turned = weight.detached().embeddingLookup((0..<taps).reversed())
            return gradient.depthwiseConvolution(
                turned, bias: Tensor(repeating: 0, bias.shape), kernel: kernel)
        }
        var result = Tensor(repeating: 0, shape)
        let target = unsafe result.mutablePointer()
        let image = inputLength * height
        parallel(shape[0]) { sample in
            for y in 0..<outputShape[1] {
                let rows = unsafe inputRows(y) {
                    unsafe UnsafePointer(target + sample * image + $0 * inputLength)
                }
                .map { unsafe $0.map { unsafe UnsafeMutablePointer(mutating: $0) } }
                let row = sample * outputShape[1] + y
                unsafe withUnsafePointer(to: geometry) {
                    unsafe kernels.depthwise_input_gradient(
                        rows, gradient.pointer + row * outputLength, weight.pointer, $0)
                }
            }
        }
        return result
    }
}
