internal import TensorCore

/// The residual block of Stage A: a depthwise convolution and a two-layer perceptron, each on
/// layer-normalised features under a learnt scale and shift, each added with a learnt gain.
package struct MixingBlock: Sendable {
    private let gammas: [Float]
    private let depthwise: DepthwiseConvolution
    private let perceptron: (first: Linear, second: Linear)

    package init(_ parameters: Parameters, channels: Int) throws {
        gammas = try parameters("gammas", [6]).elements
        depthwise = try DepthwiseConvolution(
            parameters["depthwise"][1], channels, padding: .replicate)
        perceptron = (
            try Linear(parameters["channelwise"][0], channels, 4 * channels),
            try Linear(parameters["channelwise"][2], 4 * channels, channels)
        )
    }

    package func callAsFunction(_ x: Tensor) -> Tensor {
        depthwise(
            x, gain: gammas[2], residual: x, inputNormalization: (1 + gammas[0], gammas[1])
        ).addingPerceptron(
            scale: 1 + gammas[3], shift: gammas[4],
            (perceptron.first.weight, perceptron.first.bias),
            (perceptron.second.weight, perceptron.second.bias), gain: gammas[5])
    }
}
