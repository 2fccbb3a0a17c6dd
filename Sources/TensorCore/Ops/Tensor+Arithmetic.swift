internal import CWuerstchenKernels

extension Tensor {
    /// `alpha · a + beta · b`, element by element.
    ///
    /// - Precondition: Both tensors have the same shape.
    public static func combine(_ alpha: Float, _ a: Tensor, _ beta: Float, _ b: Tensor) -> Tensor {
        precondition(a.shape == b.shape, "shapes differ: \(a.shape) and \(b.shape)")
        var result = Tensor(uninitialized: a.shape)
        let target = unsafe result.mutablePointer()
        forEachChunk(of: a.count) { range in
            let first = range.lowerBound
            unsafe kernels.combine(
                target + first, alpha, a.pointer + first, beta, b.pointer + first, range.count)
        }
        guard Recording.isOn(a.edge, b.edge) else { return result }
        return result.recorded(from: a.edge, b.edge) { gradient in
            [alpha, beta].map { $0 == 1 ? gradient : gradient.scaled(by: $0) }
        }
    }

    /// Element by element.
    public static func + (a: Tensor, b: Tensor) -> Tensor { combine(1, a, 1, b) }

    /// Element by element.
    public static func - (a: Tensor, b: Tensor) -> Tensor { combine(1, a, -1, b) }

    /// `scale · x + shift`, element by element.
    public func scaled(by scale: Float, shift: Float = 0) -> Tensor {
        var result = Tensor(uninitialized: shape)
        let source = unsafe pointer
        let target = unsafe result.mutablePointer()
        forEachChunk(of: count) { range in
            let first = range.lowerBound
            unsafe kernels.scale_shift(target + first, source + first, scale, shift, range.count)
        }
        guard Recording.isOn(edge) else { return result }
        return result.recorded(from: edge) { [$0.scaled(by: scale)] }
    }

    /// Element by element.
    public static func * (a: Tensor, b: Tensor) -> Tensor {
        let result = zip(a, b, *)
        guard Recording.isOn(a.edge, b.edge) else { return result }
        return result.recorded(from: a.edge, b.edge) { gradient in
            [a.edge.map { _ in zip(gradient, b, *) }, b.edge.map { _ in zip(gradient, a, *) }]
        }
    }

    /// Element by element.
    public static func / (a: Tensor, b: Tensor) -> Tensor {
        let result = zip(a, b, /)
        guard Recording.isOn(a.edge, b.edge) else { return result }
        return result.recorded(from: a.edge, b.edge) { gradient in
            let share = zip(gradient, b, /)
            return [share, b.edge.map { _ in zip(share, result, *).scaled(by: -1) }]
        }
    }

    /// Each element's distance from zero. Its derivative at zero is taken to be 0.
    public func abs() -> Tensor {
        let result = mapped(Swift.abs)
        guard Recording.isOn(edge) else { return result }
        return result.recorded(from: edge) { gradient in
            [Tensor.zip(gradient, self) { $1 > 0 ? $0 : $1 < 0 ? -$0 : 0 }]
        }
    }

    /// `1 / √(x + ε)` of each element.
    public func rsqrt(adding epsilon: Float) -> Tensor {
        let result = mapped { 1 / ($0 + epsilon).squareRoot() }
        guard Recording.isOn(edge) else { return result }
        return result.recorded(from: edge) { gradient in
            [Tensor.zip(gradient, result) { -0.5 * $0 * $1 * $1 * $1 }]
        }
    }

    /// One element repeated to a shape, such as a learnt number that acts on all channels.
    ///
    /// - Parameters:
    ///   - index: Which element, in row-major order.
    ///   - shape: The shape of the result.
    /// - Returns: A tensor of that shape with all elements equal.
    package func repeatingElement(_ index: Int, _ shape: Shape) -> Tensor {
        let result = Tensor(repeating: element(index), shape)
        guard Recording.isOn(edge) else { return result }
        let whole = self.shape
        return result.recorded(from: edge) { gradient in
            var sum = Tensor(repeating: 0, whole)
            unsafe sum.mutablePointer()[index] = gradient.elements.reduce(0, +)
            return [sum]
        }
    }

    /// Each element put through a function; for small tensors. Nothing is recorded.
    public func mapped(_ transform: (Float) -> Float) -> Tensor {
        unsafe Tensor(shape) { target in
            unsafe withUnsafeElements { source in
                for index in source.indices {
                    unsafe target[index] = unsafe transform(source[index])
                }
            }
        }
    }

    /// Pairs of elements put through a function; for small tensors. Nothing is recorded.
    private static func zip(
        _ a: Tensor, _ b: Tensor, _ transform: (Float, Float) -> Float
    ) -> Tensor {
        precondition(a.shape == b.shape, "shapes differ: \(a.shape) and \(b.shape)")
        return unsafe Tensor(a.shape) { target in
            for index in 0..<a.count {
                unsafe target[index] = transform(a.pointer[index], b.pointer[index])
            }
        }
    }

    /// The channels of the innermost axis from `range`.
    public func channels(_ range: Range<Int>) -> Tensor {
        let channels = shape.channels
        precondition(
            range.lowerBound >= 0 && range.upperBound <= channels, "channels \(range) of \(shape)")
        let result = unsafe Tensor(shape.withChannels(range.count)) { target in
            guard let base = target.baseAddress else { return }
            let source = unsafe pointer + range.lowerBound
            for row in 0..<count / max(1, channels) {
                unsafe (base + row * range.count).update(
                    from: source + row * channels, count: range.count)
            }
        }
        guard Recording.isOn(edge) else { return result }
        let whole = shape
        return result.recorded(from: edge) { gradient in
            var sum = Tensor(repeating: 0, whole)
            let target = unsafe sum.mutablePointer() + range.lowerBound
            for row in 0..<gradient.count / max(1, range.count) {
                unsafe (target + row * channels).update(
                    from: gradient.pointer + row * range.count, count: range.count)
            }
            return [sum]
        }
    }
}
