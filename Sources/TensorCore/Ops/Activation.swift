internal import CWuerstchenKernels

/// The activation functions of the networks.
public enum Activation: Sendable, Hashable {
    /// x
    case identity
    /// x · Φ(x) with the exact normal distribution function (Hendrycks and Gimpel, 2016).
    case gelu
    /// x · sigmoid(1.702 x), the approximation that OpenAI's CLIP was trained with.
    case quickGELU
    /// x · sigmoid(x)
    case silu
    /// x, or 0.2 x below zero.
    case leakyReLU
    /// 1 / (1 + e⁻ˣ)
    case sigmoid

    var kernel: wk_activation {
        switch self {
        case .identity: WK_IDENTITY
        case .gelu: WK_GELU
        case .quickGELU: WK_QUICK_GELU
        case .silu: WK_SILU
        case .leakyReLU: WK_LEAKY_RELU
        case .sigmoid: WK_SIGMOID
        }
    }
}

extension Tensor {
    /// The tensor with an activation function applied to every element.
    public func activated(_ activation: Activation) -> Tensor {
        var result = Tensor(uninitialized: shape)
        let source = unsafe pointer
        let target = unsafe result.mutablePointer()
        forEachChunk(of: count) { range in
            unsafe kernels.activate(
                target + range.lowerBound, source + range.lowerBound, range.count,
                activation.kernel)
        }
        guard Recording.isOn(edge) else { return result }
        return result.recorded(from: edge) { gradient in
            var gradient = gradient
            let target = unsafe gradient.mutablePointer()
            forEachChunk(of: gradient.count) { range in
                let place = unsafe target + range.lowerBound
                unsafe kernels.activate_gradient(
                    place, place, pointer + range.lowerBound, range.count, activation.kernel)
            }
            return [gradient]
        }
    }
}

/// Cuts elementwise work into pieces large enough to be worth a thread.
package func forEachChunk(of count: Int, _ body: (Range<Int>) -> Void) {
    let chunk = 1 << 16
    parallel((count + chunk - 1) / chunk) { index in
        body(index * chunk..<min(count, (index + 1) * chunk))
    }
}
