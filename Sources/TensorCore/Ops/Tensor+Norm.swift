internal import CWuerstchenKernels

extension Tensor {
    /// Layer normalisation over the innermost axis (Ba et al., 2016), then a scalar or per-channel
    /// affine map: `(x − mean) / sqrt(variance + ε) · scale + shift`, or `· weight + bias`.
    ///
    /// - Parameters:
    ///   - epsilon: Added to the (biased) variance; 10⁻⁶ in the stages, 10⁻⁵ in CLIP.
    ///   - scale: A factor for all channels.
    ///   - shift: A summand for all channels.
    ///   - affine: Weight and bias, each `[channels]`.
    /// - Returns: A tensor of the same shape.
    public func layerNormalized(
        epsilon: Float = 1e-6, scale: Float = 1, shift: Float = 0,
        affine: (weight: Tensor, bias: Tensor)? = nil
    ) -> Tensor {
        var result = Tensor(uninitialized: shape)
        let target = unsafe result.mutablePointer()
        unsafe normalizeRows(epsilon, scale, shift, affine) { rows, normalize in
            unsafe normalize(target + rows.lowerBound * shape.channels)
        }
        guard Recording.isOn(edge, affine?.weight.edge, affine?.bias.edge) else { return result }
        return result.recorded(from: edge, affine?.weight.edge, affine?.bias.edge) {
            layerNormGradients($0, epsilon, scale, affine)
        }
    }

    /// The same as the left factor of products with a matrix: where that takes other numbers than
    /// floats, rows are converted while they are in the cache.
    public func layerNormalized(
        epsilon: Float = 1e-6, affine: (weight: Tensor, bias: Tensor)? = nil,
        for matrix: PackedWeight
    ) -> Operand {
        var result = Operand(uninitialized: shape, matrix.operandPrecision)
        unsafe normalizeRows(epsilon, 1, 0, affine) { rows, normalize in
            unsafe result.writeRows(from: rows.lowerBound, count: rows.count, normalize)
        }
        let edges = [edge, affine?.weight.edge, affine?.bias.edge]
        if Recording.isOn(edges) {
            result.edge = GradientEdge(fromAll: edges) {
                layerNormGradients($0, epsilon, 1, affine)
            }
        }
        return result
    }

    /// The gradients of this tensor, of a norm's weight and of its bias.
    private func layerNormGradients(
        _ gradient: Tensor, _ epsilon: Float, _ scale: Float,
        _ affine: (weight: Tensor, bias: Tensor)?
    ) -> [Tensor?] {
        let channels = shape.channels
        var result = Tensor(uninitialized: shape)
        let target = unsafe result.mutablePointer()
        let rows = count / max(1, channels)
        guard let affine else {
            forEachRowBlock(rows: rows, channels: channels) { rows in
                let place = rows.lowerBound * channels
                unsafe kernels.layer_norm_gradient(
                    target + place, gradient.pointer + place, pointer + place, rows.count, channels,
                    epsilon, scale, nil, nil, nil)
            }
            return [result, nil, nil]
        }
        // Sums for the weight, then for the bias.
        let sums = unsafe RowBlockSums(rows: rows, channels: 2 * channels) { rows, sums in
            let place = rows.lowerBound * channels
            unsafe kernels.layer_norm_gradient(
                target + place, gradient.pointer + place, pointer + place, rows.count, channels,
                epsilon, scale, affine.weight.pointer, sums, sums + channels)
        }.total()
        return [
            result, sums[0..<channels].reshaped(to: affine.weight.shape),
            sums[channels..<2 * channels].reshaped(to: affine.bias.shape),
        ]
    }

    /// Calls `body` for blocks of rows, on several threads, with a function that normalises the
    /// block into a place.
    private func normalizeRows(
        _ epsilon: Float, _ scale: Float, _ shift: Float,
        _ affine: (weight: Tensor, bias: Tensor)?,
        _ body: (
            _ rows: Range<Int>, _ normalize: (UnsafeMutablePointer<Float>) -> Void
        ) -> Void
    ) {
        let channels = shape.channels
        precondition(
            affine.map { $0.weight.count == channels && $0.bias.count == channels } ?? true,
            "an affine map of other than \(channels) channels")
        let source = unsafe pointer
        forEachRowBlock(rows: count / max(1, channels), channels: channels) { rows in
            unsafe body(rows) { target in
                unsafe kernels.layer_norm(
                    target, channels, source + rows.lowerBound * channels, channels, rows.count,
                    channels, epsilon, scale, shift, affine?.weight.pointer, affine?.bias.pointer)
            }
        }
    }

    /// The factor by which global response normalisation multiplies each channel of each sample,
    /// `1 + γ · N` with `N = G / (mean of G over the channels + 10⁻⁶)` and `G` the square root of
    /// the sums of squares (Woo et al., "ConvNeXt V2", 2023). What is left of the layer, `+ β`, is
    /// constant.
    ///
    /// - Parameters:
    ///   - sumOfSquares: The sum over all positions of the squared values, `[samples, channels]`.
    ///   - gamma: `[channels]`.
    /// - Returns: `[samples, channels]`.
    public static func globalResponse(sumOfSquares: Tensor, gamma: Tensor) -> Tensor {
        let channels = sumOfSquares.shape.channels
        precondition(gamma.count == channels, "γ \(gamma.shape) for \(channels) channels")
        let result = unsafe Tensor(sumOfSquares.shape) { factors in
            for sample in 0..<sumOfSquares.count / channels {
                let sumsOfSquares = unsafe sumOfSquares.pointer + sample * channels
                var sum = 0.0
                for channel in 0..<channels {
                    unsafe sum += Double(sumsOfSquares[channel].squareRoot())
                }
                let inverse = 1 / (Float(sum / Double(channels)) + 1e-6)
                for channel in 0..<channels {
                    unsafe factors[sample * channels + channel] =
                        unsafe 1 + gamma.pointer[channel]
                        * (sumsOfSquares[channel].squareRoot() * inverse)
                }
            }
        }
        guard Recording.isOn(sumOfSquares.edge, gamma.edge) else { return result }
        return result.recorded(from: sumOfSquares.edge, gamma.edge) { gradient in
            globalResponseGradients(gradient, sumOfSquares, gamma)
        }
    }

    /// The gradients of the sums of squares and of γ. That of a sum of zero is zero, as PyTorch has
    /// it.
    private static func globalResponseGradients(
        _ gradient: Tensor, _ sumOfSquares: Tensor, _ gamma: Tensor
    ) -> [Tensor?] {
        let channels = sumOfSquares.shape.channels
        var gammaGradient = Tensor(repeating: 0, gamma.shape)
        let gammas = unsafe gammaGradient.mutablePointer()
        let sumsGradient = unsafe Tensor(sumOfSquares.shape) { target in
            for sample in 0..<sumOfSquares.count / channels {
                let place = sample * channels
                let roots = (0..<channels).map {
                    unsafe sumOfSquares.pointer[place + $0].squareRoot()
                }
                let mean = Float(roots.reduce(0.0) { $0 + Double($1) } / Double(channels))
                let inverse = 1 / (mean + 1e-6)
                // N = G · inverse, and inverse falls with every G.
                var fall: Double = 0
                for channel in 0..<channels {
                    let d = unsafe gradient.pointer[place + channel]
                    unsafe gammas[channel] += d * roots[channel] * inverse
                    unsafe fall += Double(d * gamma.pointer[channel] * roots[channel])
                }
                let share = Float(fall / Double(channels)) * inverse * inverse
                for channel in 0..<channels {
                    let d =
                        unsafe gradient.pointer[place + channel] * gamma.pointer[channel] * inverse
                    unsafe target[place + channel] =
                        roots[channel] > 0 ? (d - share) / (2 * roots[channel]) : 0
                }
            }
        }
        return [sumsGradient, gammaGradient]
    }

    /// A factor and a summand for each channel: a batch norm with fixed statistics.
    ///
    /// - Parameters:
    ///   - scale: `[channels]`.
    ///   - shift: `[channels]`.
    /// - Returns: `x · scale + shift`, in the same shape.
    public func scaledChannels(by scale: Tensor, shift: Tensor) -> Tensor {
        let channels = shape.channels
        precondition(
            scale.count == channels && shift.count == channels,
            "\(scale.shape) and \(shift.shape) for \(channels) channels")
        var result = Tensor(uninitialized: shape)
        let source = unsafe pointer
        let target = unsafe result.mutablePointer()
        forEachRowBlock(rows: count / max(1, channels), channels: channels) { rows in
            let place = rows.lowerBound * channels
            unsafe kernels.affine_columns(
                target + place, source + place, rows.count, channels, scale.pointer, shift.pointer)
        }
        guard Recording.isOn(edge, scale.edge, shift.edge) else { return result }
        return result.recorded(from: edge, scale.edge, shift.edge) { gradient in
            [
                edge.map { _ in
                    gradient.scaledChannels(
                        by: scale.detached(), shift: Tensor(repeating: 0, shift.shape))
                },
                scale.edge.map { _ in
                    gradient.columnProducts(self).reshaped(to: scale.shape)
                },
                shift.edge.map { _ in gradient.columnSums(as: shift.shape) },
            ]
        }
    }

    /// Batch normalisation with the statistics of this batch (Ioffe and Szegedy, 2015), without an
    /// affine map.
    ///
    /// - Parameter epsilon: Added to the (biased) variance.
    /// - Returns: The normalised tensor, and mean and biased variance over all samples and
    ///   positions, each `[channels]`. Of the statistics nothing is recorded.
    public func batchNormalized(
        epsilon: Float
    ) -> (result: Tensor, mean: Tensor, variance: Tensor) {
        let channels = shape.channels
        let rows = count / max(1, channels)
        let share = 1 / Float(max(1, rows))
        let plain = detached()
        let mean = plain.columnSums(as: [channels]).scaled(by: share)
        let ones = Tensor(repeating: 1, [channels])
        let centred = plain.scaledChannels(by: ones, shift: mean.scaled(by: -1))
        let variance = centred.columnProducts(centred).scaled(by: share)
        let inverse = variance.rsqrt(adding: epsilon)
        let zero = Tensor(repeating: 0, [channels])
        let result = centred.scaledChannels(by: inverse, shift: zero)
        guard Recording.isOn(edge) else { return (result, mean, variance) }
        let recorded = result.recorded(from: edge) { gradient in
            // dx = inverse · (g − mean g − n · mean(g · n)) with n the normalised values.
            let mean = gradient.columnSums(as: [channels]).scaled(by: -share)
            let product = gradient.columnProducts(result).scaled(by: -share)
            let direct = gradient.scaledChannels(by: ones, shift: mean)
            return [
                (direct + result.scaledChannels(by: product, shift: zero))
                    .scaledChannels(by: inverse, shift: zero)
            ]
        }
        return (recorded, mean, variance)
    }

    /// For each channel the sum over all rows of the products with another tensor, `[channels]`.
    private func columnProducts(_ other: Tensor) -> Tensor {
        let channels = shape.channels
        return unsafe RowBlockSums(rows: count / max(1, channels), channels: channels) {
            rows, sums in
            let place = rows.lowerBound * channels
            unsafe kernels.dot_columns(
                sums, pointer + place, channels, other.pointer + place, channels, rows.count,
                channels)
        }.total()
    }

    /// For each sample and channel the sum over all positions of the products with another tensor,
    /// `[samples, channels]`; of the elements alone where there is none.
    func positionSums(times other: Tensor? = nil) -> Tensor {
        let (samples, channels) = (shape[0], shape.channels)
        let rows = count / max(1, samples * channels)
        var result = Tensor(repeating: 0, [samples, channels])
        let target = unsafe result.mutablePointer()
        parallel(samples) { sample in
            let (place, sums) = unsafe (sample * rows * channels, target + sample * channels)
            if let other {
                unsafe kernels.dot_columns(
                    sums, pointer + place, channels, other.pointer + place, channels, rows,
                    channels)
            } else {
                unsafe kernels.sum_columns(sums, pointer + place, channels, rows, channels)
            }
        }
        return result
    }

    /// `x · (1 + scale) + shift` with a scale and a shift for each sample and channel.
    public func modulated(by modulation: Epilogue.Modulation) -> Tensor {
        let channels = shape.channels
        let rows = count / max(1, shape[0] * channels)
        Epilogue(modulation: modulation).check(
            samples: shape[0], columns: channels, count: count)
        var result = self
        let target = unsafe result.mutablePointer()
        let blocks = (rows + 31) / 32
        parallel(shape[0] * blocks) { index in
            let sample = index / blocks
            let first = index % blocks * 32
            var steps = unsafe Epilogue(modulation: modulation).steps(
                sample: sample, row: 0, columns: channels)
            let corner = unsafe target + (sample * rows + first) * channels
            unsafe kernels.epilogue(
                corner, channels, corner, channels, min(32, rows - first), channels, &steps)
        }
        let edges = [edge, modulation.scale.edge, modulation.shift.edge]
        guard Recording.isOn(edges) else { return result }
        return result.recorded(fromAll: edges) { gradient in
            [
                edge.map { _ in
                    gradient.scaledChannels(
                        bySample: modulation.scale.detached().scaled(by: 1, shift: 1))
                },
                modulation.scale.edge.map { _ in
                    gradient.positionSums(times: self).reshaped(to: modulation.scale.shape)
                },
                modulation.shift.edge.map { _ in
                    gradient.positionSums().reshaped(to: modulation.shift.shape)
                },
            ]
        }
    }

    /// The mean over all positions of each sample and channel, `[samples, channels]`.
    public func meanOverPositions() -> Tensor {
        let channels = shape.channels
        let rows = count / max(1, shape[0] * channels)
        var result = Tensor(repeating: 0, [shape[0], channels])
        let source = unsafe pointer
        let target = unsafe result.mutablePointer()
        parallel(shape[0]) { sample in
            let sums = unsafe target + sample * channels
            unsafe kernels.sum_columns(
                sums, source + sample * rows * channels, channels, rows, channels)
            unsafe kernels.scale_shift(sums, sums, 1 / Float(max(1, rows)), 0, channels)
        }
        guard Recording.isOn(edge) else { return result }
        let whole = shape
        return result.recorded(from: edge) { gradient in
            [
                Tensor(repeating: 1 / Float(max(1, rows)), whole).scaledChannels(bySample: gradient)
            ]
        }
    }

    /// Each sample's channels times a factor of their own.
    ///
    /// - Parameter factors: `[samples, channels]`.
    /// - Returns: A tensor of the same shape.
    public func scaledChannels(bySample factors: Tensor) -> Tensor {
        let channels = shape.channels
        let rows = count / max(1, shape[0] * channels)
        precondition(
            factors.count == shape[0] * channels, "factors \(factors.shape) for \(shape)")
        var result = Tensor(uninitialized: shape)
        let source = unsafe pointer
        let target = unsafe result.mutablePointer()
        parallel(shape[0]) { sample in
            let place = sample * rows * channels
            unsafe kernels.scale_columns(
                target + place, channels, source + place, channels, rows, channels,
                factors.pointer + sample * channels)
        }
        guard Recording.isOn(edge, factors.edge) else { return result }
        return result.recorded(from: edge, factors.edge) { gradient in
            [
                edge.map { _ in gradient.scaledChannels(bySample: factors.detached()) },
                factors.edge.map { _ in
                    gradient.positionSums(times: self).reshaped(to: factors.shape)
                },
            ]
        }
    }
}

/// Cuts work over rows into pieces of a few tens of thousand elements.
func forEachRowBlock(rows: Int, channels: Int, _ body: (Range<Int>) -> Void) {
    let block = max(1, (1 << 15) / max(1, channels))
    parallel((rows + block - 1) / block) { index in
        body(index * block..<min(rows, (index + 1) * block))
    }
}
