internal import CWuerstchenKernels

extension Tensor {
    /// `alpha · a + beta · b`, element by element.
    ///
    /// - Precondition: Both tensors have the same shape.
    public static func combine(_ alpha: Float, _ a: Tensor, _ beta: Float, _ b: Tensor) -> Tensor {
        precondition(a.shape == b.shape, "shapes differ: \(a.shape) and \(b.shape)")
        var result = Tensor(uninitialized: a.shape)
        let target = result.mutablePointer()
        forEachChunk(of: a.count) { range in
            let first = range.lowerBound
            kernels.combine(
                target + first, alpha, a.pointer + first, beta, b.pointer + first, range.count)
        }
        return result
    }

    /// Element by element.
    public static func + (a: Tensor, b: Tensor) -> Tensor { combine(1, a, 1, b) }

    /// Element by element.
    public static func - (a: Tensor, b: Tensor) -> Tensor { combine(1, a, -1, b) }

    /// `scale · x + shift`, element by element.
    public func scaled(by scale: Float, shift: Float = 0) -> Tensor {
        var result = Tensor(uninitialized: shape)
        let source = pointer
        let target = result.mutablePointer()
        forEachChunk(of: count) { range in
            let first = range.lowerBound
            kernels.scale_shift(target + first, source + first, scale, shift, range.count)
        }
        return result
    }

    /// Each element put through a function; for small tensors.
    public func mapped(_ transform: (Float) -> Float) -> Tensor {
        Tensor(shape) { target in
            withUnsafeElements { source in
                for index in source.indices { target[index] = transform(source[index]) }
            }
        }
    }

    /// Pairs of elements put through a function; for small tensors.
    ///
    /// - Precondition: Both tensors have the same shape.
    public static func zip(
        _ a: Tensor, _ b: Tensor, _ transform: (Float, Float) -> Float
    ) -> Tensor {
        precondition(a.shape == b.shape, "shapes differ: \(a.shape) and \(b.shape)")
        return Tensor(a.shape) { target in
            for index in 0..<a.count {
                target[index] = transform(a.pointer[index], b.pointer[index])
            }
        }
    }

    /// The channels of the innermost axis from `range`.
    public func channels(_ range: Range<Int>) -> Tensor {
        let channels = shape.channels
        precondition(
            range.lowerBound >= 0 && range.upperBound <= channels, "channels \(range) of \(shape)")
        return Tensor(shape.withChannels(range.count)) { target in
            guard let base = target.baseAddress else { return }
            let source = pointer + range.lowerBound
            for row in 0..<count / max(1, channels) {
                (base + row * range.count).update(
                    from: source + row * channels, count: range.count)
            }
        }
    }
}
