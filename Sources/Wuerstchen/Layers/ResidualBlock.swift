internal import TensorCore

/// The residual block of Stages B and C, after ConvNeXt V2 (Woo et al., 2023): depthwise
/// convolution, layer norm, and two linear layers with GELU and global response normalisation
/// between them.
///
/// Stage B concatenates further maps to the normalised features: the output of the same level on the
/// way down, and the semantic latent mapped to many channels. No concatenation is built: the first
/// linear layer is a sum of products. And since mapping the semantic latent is linear, its mapper is
/// multiplied into the weight once, when the block is loaded, which leaves a product with as few
/// channels as the latent has.
package struct ResidualBlock: Sendable {
    private let depthwise: DepthwiseConvolution
    private let channels: Int
    private let skipChannels: Int
    private let expandWeight: Tensor
    private let expandBias: Tensor
    private let semanticWeight: Tensor?
    private let gamma: Tensor
    private let projectWeight: Tensor
    private let projectBias: Tensor

    /// - Parameters:
    ///   - parameters: `depthwise`, `channelwise.0`, `channelwise.2`, `channelwise.4`.
    ///   - channels: Width of the block.
    ///   - skipChannels: Channels of the map that is concatenated, 0 for none.
    ///   - semanticMapper: The linear map of the semantic latent, where the block sees it.
    ///   - kernel: Side of the depthwise kernel.
    /// - Throws: What reading the parameters throws.
    package init(
        _ parameters: Parameters, channels: Int, skipChannels: Int = 0,
        semanticMapper: Linear? = nil, kernel: Int = 3
    ) throws {
        let hidden = 4 * channels
        let mapped = semanticMapper?.weight.shape[0] ?? 0
        let pointwise = parameters["channelwise"]
        depthwise = try DepthwiseConvolution(parameters["depthwise"], channels, kernel: kernel)
        self.channels = channels
        self.skipChannels = skipChannels
        expandWeight = try pointwise[0]("weight", [hidden, channels + skipChannels + mapped])
        let bias = try pointwise[0]("bias", [hidden])
        if let semanticMapper {
            // W · (M e + b) = (W M) e + W b
            let columns = channels + skipChannels..<channels + skipChannels + mapped
            semanticWeight = Tensor.linear([
                Tensor.Term(
                    semanticMapper.weight.matrixTransposed().reshaped(
                        to: [1, semanticMapper.weight.shape[1], mapped]),
                    expandWeight, features: columns)
            ]).reshaped(to: [semanticMapper.weight.shape[1], hidden]).matrixTransposed()
            let mapperBias = semanticMapper.bias ?? Tensor(repeating: 0, [mapped])
            expandBias = Tensor.linear(
                [
                    Tensor.Term(
                        mapperBias.reshaped(to: [1, 1, mapped]), expandWeight, features: columns)
                ], Epilogue(bias: bias)
            ).reshaped(to: [hidden])
        } else {
            semanticWeight = nil
            expandBias = bias
        }
        gamma = try pointwise[2]("gamma", [1, 1, 1, hidden]).reshaped(to: [hidden])
        let beta = try pointwise[2]("beta", [1, 1, 1, hidden])
        projectWeight = try pointwise[4]("weight", [channels, hidden])
        // The norm's β passes through the second layer unchanged: a constant of the block.
        projectBias = beta.reshaped(to: [1, 1, hidden])
            .linear(projectWeight, Epilogue(bias: try pointwise[4]("bias", [channels])))
            .reshaped(to: [channels])
    }

    /// - Parameters:
    ///   - x: `[batch, height, width, channels]`.
    ///   - skip: `[batch, height, width, skipChannels]`, if the block takes one.
    ///   - semantic: The semantic latent resized to the map, unmapped, if the block sees it.
    /// - Returns: `[batch, height, width, channels]`.
    package func callAsFunction(
        _ x: Tensor, skip: Tensor? = nil, semantic: Tensor? = nil
    ) -> Tensor {
        let normed = depthwise(x, normalization: 1e-6)
        var terms = [Tensor.Term(normed, expandWeight, features: 0..<channels)]
        if let skip {
            terms.append(
                Tensor.Term(skip, expandWeight, features: channels..<channels + skipChannels))
        }
        if let semantic, let semanticWeight {
            terms.append(Tensor.Term(semantic, semanticWeight))
        }
        let (hidden, energy) = Tensor.linearWithEnergy(
            terms, Epilogue(bias: expandBias, activation: .gelu))
        let response = Tensor.globalResponse(energy: energy, gamma: gamma)
        return Tensor.linear(
            [Tensor.Term(hidden, projectWeight, inputScale: response)],
            Epilogue(bias: projectBias, residual: x))
    }
}
