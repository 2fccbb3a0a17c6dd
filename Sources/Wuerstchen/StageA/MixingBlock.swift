internal import TensorCore
internal import WuerstchenNN

/// The residual block of Stage A: a depthwise convolution and a two-layer MLP, each on
/// layer-normalised features under a learnt scale and shift, each added with a learnt gain.
package struct MixingBlock: Sendable {
    private let mixing: (depthwise: Mixing, mlp: Mixing)
    private let depthwise: DepthwiseConvolution
    private let mlp: (first: Linear, second: Linear)

    package init(_ parameters: Parameters, channels: Int) throws {
        let gammas = try parameters("gammas", [6], role: .norm, initializer: .zeros)
        mixing = (Mixing(gammas[0..<3]), Mixing(gammas[3..<6]))
        depthwise = try DepthwiseConvolution(
            parameters["depthwise"][1], channels, initializer: .xavier())
        mlp = (
            try Linear(
                parameters["channelwise"][0], channels, 4 * channels, initializer: .xavier()),
            try Linear(
                parameters["channelwise"][2], 4 * channels, channels, initializer: .xavier())
        )
    }

    /// - Parameter x: `[batch, height, width, channels]`; given up, it is changed in place.
    /// - Returns: A map of the same shape.
    package func callAsFunction(_ x: consuming Tensor) -> Tensor {
        depthwise.adding(to: x, mixing: mixing.depthwise)
            .addingMLP(
                (mlp.first.matrix, mlp.first.bias),
                (mlp.second.matrix, mlp.second.bias), mixing: mixing.mlp)
    }
}
