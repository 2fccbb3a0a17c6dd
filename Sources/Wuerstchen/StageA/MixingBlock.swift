internal import TensorCore

/// The residual block of Stage A: a depthwise convolution and a two-layer perceptron, each on
/// layer-normalised features under a learnt scale and shift, each added with a learnt gain.
package struct MixingBlock: Sendable {
    private let gammas: [Float]
    private let depthwise: DepthwiseConvolution
    private let perceptron: (first: Linear, second: Linear)

    package init(_ parameters: Parameters, channels: Int) throws {
        gammas = try parameters("gammas", [6]).elements
        depthwise = try DepthwiseConvolution(parameters["depthwise"][1], channels)
        perceptron = (
            try Linear(parameters["channelwise"][0], channels, 4 * channels),
            try Linear(parameters["channelwise"][2], 4 * channels, channels)
        )
    }

    /// - Parameter x: `[batch, height, width, channels]`; given up, it is changed in place.
    /// - Returns: A map of the same shape.
    package func callAsFunction(_ x: consuming Tensor) -> Tensor {
        depthwise.adding(to: x, scale: 1 + gammas[0], shift: gammas[1], gain: gammas[2])
            .addingPerceptron(
                scale: 1 + gammas[3], shift: gammas[4],
                (perceptron.first.matrix, perceptron.first.bias),
                (perceptron.second.matrix, perceptron.second.bias), gain: gammas[5])
    }
}
