internal import TensorCore
internal import WuerstchenNN

/// The blocks of EfficientNetV2: an expanding convolution, a depthwise one with squeeze and
/// excitation, and a projecting one (MBConv); or, fused, one 3×3 convolution in place of the first
/// two and no squeeze.
package struct MBConv: Sendable {
    /// ε of the batch norms.
    static let normalizationEpsilon: Float = 1e-3

    private enum Body: Sendable {
        case fused(Convolution, BatchNorm, projection: (Convolution, BatchNorm)?)
        case full(
            expansion: (Convolution, BatchNorm), depthwise: (DepthwiseConvolution, BatchNorm),
            SqueezeExcitation, projection: (Convolution, BatchNorm))
    }

    private let body: Body
    private let isResidual: Bool

    package init(
        _ parameters: Parameters, isFused: Bool, inputs: Int, outputs: Int, expansion: Int,
        stride: Int
    ) throws {
        let layers = parameters["block"]
        let hidden = inputs * expansion
        func convolution(
            _ index: Int, _ inputs: Int, _ outputs: Int, kernel: Int = 1, stride: Int = 1
        ) throws -> (Convolution, BatchNorm) {
            (
                try Convolution(
                    layers[index][0], inputs, outputs, kernel: kernel, stride: stride,
                    padding: kernel / 2, hasBias: false),
                try BatchNorm(layers[index][1], outputs, epsilon: MBConv.normalizationEpsilon)
            )
        }
        isResidual = stride == 1 && inputs == outputs
        if isFused {
            let width = expansion == 1 ? outputs : hidden
            let first = try convolution(0, inputs, width, kernel: 3, stride: stride)
            body = .fused(
                first.0, first.1,
                projection: try expansion == 1 ? nil : convolution(1, hidden, outputs))
        } else {
            body = .full(
                expansion: try convolution(0, inputs, hidden),
                depthwise: (
                    try DepthwiseConvolution(
                        layers[1][0], hidden, stride: stride, hasBias: false),
                    try BatchNorm(layers[1][1], hidden, epsilon: MBConv.normalizationEpsilon)
                ),
                try SqueezeExcitation(
                    layers[2], channels: hidden, squeezed: max(1, inputs / 4)),
                projection: try convolution(3, hidden, outputs))
        }
    }

    package func callAsFunction(_ x: Tensor) -> Tensor {
        let y: Tensor
        switch body {
        case .fused(let convolution, let norm, let projection):
            let hidden = convolution(x, norm, .silu)
            y = projection.map { $0.0(hidden, $0.1) } ?? hidden
        case .full(let expansion, let depthwise, let squeeze, let projection):
            let expanded = expansion.0(x, expansion.1, .silu)
            let mixed = depthwise.1(depthwise.0(expanded)).activated(.silu)
            y = projection.0(squeeze(mixed), projection.1)
        }
        return isResidual ? x + y : y
    }
}

/// Each channel times a factor that the means of all channels decide (Hu et al.,
/// "Squeeze-and-Excitation Networks", 2018).
package struct SqueezeExcitation: Sendable {
    private let first: Linear
    private let second: Linear

    package init(_ parameters: Parameters, channels: Int, squeezed: Int) throws {
        first = try Linear(parameters["fc1"], channels, squeezed, .pointwiseConvolution)
        second = try Linear(parameters["fc2"], squeezed, channels, .pointwiseConvolution)
    }

    package func callAsFunction(_ x: Tensor) -> Tensor {
        let means = x.meanOverPositions()
        let samples: Shape = [means.shape[0], 1, means.shape[1]]
        let factors = second(first(means.reshaped(to: samples), .silu), .sigmoid)
        return x.scaledChannels(bySample: factors.reshaped(to: means.shape))
    }
}
