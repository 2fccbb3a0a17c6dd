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
        let target = result.mutablePointer()
        normalizeRows(epsilon, scale, shift, affine) { rows, normalize in
            normalize(target + rows.lowerBound * shape.channels)
        }
        return result
    }

    /// The same as the left factor of products with a matrix: where that takes other numbers than
    /// floats, rows are converted while they are in the cache.
    public func layerNormalized(
        epsilon: Float = 1e-6, affine: (weight: Tensor, bias: Tensor)? = nil, for matrix: Matrix
    ) -> Operand {
        let result = Operand(uninitialized: shape, matrix.operandPrecision)
        normalizeRows(epsilon, 1, 0, affine) { rows, normalize in
            result.writeRows(from: rows.lowerBound, count: rows.count, normalize)
        }
        return result
    }

    /// Calls `body` for blocks of rows, on several threads, with a function that normalises the block
    /// into a place.
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
        let source = pointer
        forEachRowBlock(rows: count / max(1, channels), channels: channels) { rows in
            body(rows) { target in
                kernels.layer_norm(
                    target, channels, source + rows.lowerBound * channels, channels, rows.count,
                    channels, epsilon, scale, shift, affine?.weight.pointer, affine?.bias.pointer)
            }
        }
    }

    /// The factor by which global response normalisation multiplies each channel of each sample,
    /// `1 + γ · N` with `N = G / (mean of G over the channels + 10⁻⁶)` and `G` the square root of
    /// the energy (Woo et al., "ConvNeXt V2", 2023). What is left of the layer, `+ β`, is constant.
    ///
    /// - Parameters:
    ///   - energy: The sum over all positions of the squared values, `[samples, channels]`.
    ///   - gamma: `[channels]`.
    /// - Returns: `[samples, channels]`.
    public static func globalResponse(energy: Tensor, gamma: Tensor) -> Tensor {
        let channels = energy.shape.channels
        precondition(gamma.count == channels, "γ \(gamma.shape) for \(channels) channels")
        return Tensor(energy.shape) { factors in
            for sample in 0..<energy.count / channels {
                let energies = energy.pointer + sample * channels
                var sum = 0.0
                for channel in 0..<channels { sum += Double(energies[channel].squareRoot()) }
                let inverse = 1 / (Float(sum / Double(channels)) + 1e-6)
                for channel in 0..<channels {
                    factors[sample * channels + channel] =
                        1 + gamma.pointer[channel] * (energies[channel].squareRoot() * inverse)
                }
            }
        }
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
        let source = pointer
        let target = result.mutablePointer()
        forEachRowBlock(rows: count / max(1, channels), channels: channels) { rows in
            let place = rows.lowerBound * channels
            kernels.affine_columns(
                target + place, source + place, rows.count, channels, scale.pointer, shift.pointer)
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
        let target = result.mutablePointer()
        let blocks = (rows + 31) / 32
        parallel(shape[0] * blocks) { index in
            let sample = index / blocks
            let first = index % blocks * 32
            var steps = Epilogue(modulation: modulation).steps(
                sample: sample, row: 0, columns: channels)
            let corner = target + (sample * rows + first) * channels
            kernels.epilogue(
                corner, channels, corner, channels, min(32, rows - first), channels, &steps)
        }
        return result
    }

    /// The mean over all positions of each sample and channel, `[samples, channels]`.
    public func meanOverPositions() -> Tensor {
        let channels = shape.channels
        let rows = count / max(1, shape[0] * channels)
        var result = Tensor(repeating: 0, [shape[0], channels])
        let source = pointer
        let target = result.mutablePointer()
        parallel(shape[0]) { sample in
            let sums = target + sample * channels
            kernels.sum_columns(sums, source + sample * rows * channels, channels, rows, channels)
            kernels.scale_shift(sums, sums, 1 / Float(max(1, rows)), 0, channels)
        }
        return result
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
        let source = pointer
        let target = result.mutablePointer()
        parallel(shape[0]) { sample in
            let place = sample * rows * channels
            kernels.scale_columns(
                target + place, channels, source + place, channels, rows, channels,
                factors.pointer + sample * channels)
        }
        return result
    }
}

/// Cuts work over rows into pieces of a few tens of thousand elements.
func forEachRowBlock(rows: Int, channels: Int, _ body: (Range<Int>) -> Void) {
    let block = max(1, (1 << 15) / max(1, channels))
    parallel((rows + block - 1) / block) { index in
        body(index * block..<min(rows, (index + 1) * block))
    }
}
