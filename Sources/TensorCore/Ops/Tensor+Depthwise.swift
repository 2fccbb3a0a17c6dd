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
        let convolution = DepthwiseRows(
            of: shape, weight, bias, kernel: kernel, stride: stride, padding: .zeros)
        var result = Tensor(uninitialized: convolution.outputShape)
        let target = result.mutablePointer()
        let picture = convolution.inputLength * shape[1]
        parallel(convolution.rowCount) { row in
            let (sample, y) = (row / convolution.outputShape[1], row % convolution.outputShape[1])
            convolution.compute(y, into: target + row * convolution.outputLength) {
                pointer + sample * picture + $0 * convolution.inputLength
            }
        }
        return result
    }

    /// `x + gain · convolution of t`, with `t = layer norm of x · scale + shift` and a depthwise
    /// convolution whose border repeats.
    ///
    /// It is computed in place where nobody else looks at the elements, in bands of rows: each row is
    /// normalised into memory of the band's own just before the first output row that reads it. The
    /// rows beyond the ends of a band, which its neighbours may have overwritten by then, are set
    /// aside before the first band begins.
    ///
    /// - Parameters:
    ///   - weight: `[kernel · kernel, channels]`.
    ///   - bias: `[channels]`.
    ///   - kernel: Side of the kernel in pixels, odd.
    ///   - scale: A factor after the norm (ε = 10⁻⁶).
    ///   - shift: A summand after the norm.
    ///   - gain: A factor for what is added.
    /// - Returns: A tensor of the same shape.
    public consuming func addingDepthwiseConvolution(
        _ weight: Tensor, bias: Tensor, kernel: Int = 3, scale: Float, shift: Float, gain: Float
    ) -> Tensor {
        precondition(kernel % 2 == 1, "a kernel of \(kernel) has no middle")
        var result = self
        let shape = result.shape
        let convolution = DepthwiseRows(
            of: shape, weight, bias, kernel: kernel, stride: 1, padding: .replicate)
        let (height, width, channels) = (shape[1], shape[2], shape[3])
        let margin = kernel / 2
        let length = convolution.inputLength
        let band = max(32, margin)
        let bands = (height + band - 1) / band
        let target = result.mutablePointer()
        // Around each end of a band, the last rows before it and the first after it.
        let borders = Storage(count: shape[0] * bands * 2 * margin * length)
        func border(_ sample: Int, _ end: Int, row: Int) -> UnsafeMutablePointer<Float> {
            borders.base
                + ((sample * bands + end / band - 1) * 2 * margin + row - end + margin) * length
        }
        parallel(shape[0] * bands) { index in
            let (sample, end) = (index / bands, (index % bands + 1) * band)
            for row in end - margin..<end + margin where row < height {
                border(sample, end, row: row).update(
                    from: target + (sample * height + row) * length, count: length)
            }
        }
        parallel(shape[0] * bands) { index in
            let (sample, number) = (index / bands, index % bands)
            let outputs = number * band..<min(height, (number + 1) * band)
            let picture = target + sample * height * length
            // A ring of normalised rows.
            let ring = Storage(count: kernel * length)
            func normed(_ row: Int) -> UnsafeMutablePointer<Float> {
                ring.base + row % kernel * length
            }
            var next = max(0, outputs.lowerBound - margin)
            for output in outputs {
                while next <= min(height - 1, output + margin) {
                    let source =
                        if next < outputs.lowerBound {
                            border(sample, outputs.lowerBound, row: next)
                        } else if next >= outputs.upperBound {
                            border(sample, outputs.upperBound, row: next)
                        } else { picture + next * length }
                    kernels.layer_norm(
                        normed(next), channels, source, channels, width, channels, 1e-6, scale,
                        shift, nil, nil)
                    next += 1
                }
                let place = picture + output * length
                convolution.compute(output, into: place, gain: gain, residual: place) {
                    UnsafePointer(normed($0))
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
        _ weight: Tensor, bias: Tensor, kernel: Int = 3, epsilon: Float = 1e-6, for matrix: Matrix
    ) -> Operand {
        let convolution = DepthwiseRows(
            of: shape, weight, bias, kernel: kernel, stride: 1, padding: .zeros)
        let (channels, width) = (shape.channels, convolution.outputShape[2])
        let result = Operand(uninitialized: convolution.outputShape, matrix.operandPrecision)
        let picture = convolution.inputLength * shape[1]
        parallel(convolution.rowCount) { row in
            let (sample, y) = (row / convolution.outputShape[1], row % convolution.outputShape[1])
            result.writeRows(from: row * width, count: width) { sums in
                convolution.compute(y, into: sums) {
                    pointer + sample * picture + $0 * convolution.inputLength
                }
                kernels.layer_norm(
                    sums, channels, sums, channels, width, channels, epsilon, 1, 0, nil, nil)
            }
        }
        return result
    }
}

/// What surrounds a picture for a convolution.
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

    /// Output rows of all pictures.
    var rowCount: Int { outputShape[0] * outputShape[1] }

    /// Computes `residual + gain · convolution` for one output row, `residual` being a row like it.
    func compute(
        _ output: Int, into target: UnsafeMutablePointer<Float>, gain: Float = 1,
        residual: UnsafePointer<Float>? = nil, inputRow: (Int) -> UnsafePointer<Float>
    ) {
        let top = output * geometry.stride - geometry.padding
        let rows: [UnsafePointer<Float>?] = (top..<top + geometry.kernel_height).map { y in
            if y < 0 || y >= height, !geometry.replicate { return nil }
            return inputRow(min(max(y, 0), height - 1))
        }
        withUnsafePointer(to: geometry) {
            kernels.depthwise_row(
                target, outputShape.channels, rows, weight.pointer, bias.pointer, gain, residual, $0
            )
        }
    }
}
