internal import TensorCore
internal import WuerstchenNN

/// The residual block of Stages B and C, after ConvNeXt V2 (Woo et al., 2023): depthwise
/// convolution, layer norm, and two linear layers with GELU and global response normalisation
/// between them.
///
/// Stage B concatenates further maps to the normalised features: the output of the same level on
/// the way down, and the semantic latent mapped to many channels. No concatenation is built: the
/// first linear layer is a sum of products. And since mapping the semantic latent is linear, its
/// mapper is multiplied into the weight once, when the block is loaded, which leaves a product with
/// as few channels as the latent has.
package struct ResidualBlock: Sendable {
    private let depthwise: DepthwiseConvolution
    private let expand: PackedWeight
    private let expandSkip: PackedWeight?
    private let expandSemantic: PackedWeight?
    private let expandBias: Tensor
    private let gamma: Tensor
    private let project: PackedWeight
    private let projectBias: Tensor

    /// - Parameters:
    ///   - parameters: `depthwise`, `channelwise.0`, `channelwise.2`, `channelwise.4`.
    ///   - channels: Width of the block.
    ///   - skipChannels: Channels of the map that is concatenated, 0 for none.
    ///   - semanticMapper: The linear map of the semantic latent, where the block sees it.
    ///   - kernel: Side of the depthwise kernel.
    ///   - initializer: How the weights are drawn.
    ///   - outputInitializer: How the weight of the last layer is drawn.
    /// - Throws: What reading the parameters throws.
    package init(
        _ parameters: Parameters, channels: Int, skipChannels: Int = 0,
        semanticMapper: SemanticMapper? = nil, kernel: Int = 3,
        initializer: Initializer = .fanIn(), outputInitializer: Initializer = .fanIn()
    ) throws {
        let hidden = 4 * channels
        let mapped = semanticMapper?.bias.count ?? 0
        let pointwise = parameters["channelwise"]
        depthwise = try DepthwiseConvolution(
            parameters["depthwise"], channels, kernel: kernel, initializer: initializer)
        let weight = try pointwise[0].weightMatrix(
            "weight", hidden, channels + skipChannels + mapped, initializer: initializer)
        let bias = try pointwise[0]("bias", [hidden], role: .bias)
        let skipEnd = channels + skipChannels
        expand = parameters.matrix(
            skipEnd + mapped > channels ? weight.columns(0..<channels) : weight)
        expandSkip =
            skipChannels > 0 ? parameters.matrix(weight.columns(channels..<skipEnd)) : nil
        if let semanticMapper {
            // W · (M e + b) = (W M) e + W b
            let (mapping, mappedBias) = parameters.absorbing(
                semanticMapper.bias, weight.columns(skipEnd..<skipEnd + mapped), into: bias)
            // As few channels as the latent has cost little at any precision.
            expandSemantic = parameters.float32.matrix(mapping * semanticMapper.weight)
            expandBias = mappedBias
        } else {
            expandSemantic = nil
            expandBias = bias
        }
        if skipEnd + mapped > channels { parameters.release(weight) }
        gamma = try pointwise[2](
            "gamma", [1, 1, 1, hidden], role: .norm, initializer: .zeros
        ).reshaped(to: [hidden])
        let beta = try pointwise[2](
            "beta", [1, 1, 1, hidden], role: .norm, initializer: .zeros)
        let projectWeight = try pointwise[4].weightMatrix(
            "weight", channels, hidden, initializer: outputInitializer)
        // The norm's β passes through the second layer unchanged: a constant of the block.
        let outputBias = try pointwise[4]("bias", [channels], role: .bias)
        let (projection, projectionBias) = parameters.absorbing(
            beta, projectWeight, into: outputBias)
        projectBias = projectionBias
        project = parameters.matrix(projection)
    }

    /// - Parameters:
    ///   - x: `[batch, height, width, channels]`.
    ///   - skip: `[batch, height, width, skipChannels]`, if the block takes one.
    ///   - semantic: The semantic latent resized to the map, unmapped, if the block sees it.
    ///   - modulation: What a timestep block right behind this one does to the result.
    /// - Returns: `[batch, height, width, channels]`.
    package func callAsFunction(
        _ x: Tensor, skip: Tensor? = nil, semantic: Tensor? = nil,
        modulation: Epilogue.Modulation? = nil
    ) -> Tensor {
        var terms = [Tensor.Term(depthwise.normalized(x, for: expand), expand)]
        if let skip, let expandSkip { terms.append(Tensor.Term(skip, expandSkip)) }
        if let semantic, let expandSemantic {
            terms.append(Tensor.Term(semantic, expandSemantic))
        }
        let (hidden, sumOfSquares) = Tensor.linearWithSumOfSquares(
            terms, Epilogue(bias: expandBias, activation: .gelu), for: project)
        let response = Tensor.globalResponse(sumOfSquares: sumOfSquares, gamma: gamma)
        return Tensor.linear(
            [Tensor.Term(hidden, project, inputScale: response)],
            Epilogue(bias: projectBias, residual: x, modulation: modulation))
    }
}

/// The linear map of the semantic latent to the channels that a level's residual blocks take.
package struct SemanticMapper: Sendable {
    /// `[outputs, inputs]`, as it is stored: it is only multiplied into the blocks' weights.
    let weight: WeightMatrix
    let bias: Tensor

    package init(_ parameters: Parameters, _ inputs: Int, _ outputs: Int) throws {
        weight = try parameters.weightMatrix(
            "weight", outputs, inputs, storedAs: [outputs, inputs, 1, 1],
            initializer: .normal(deviation: 0.02))
        bias = try parameters("bias", [outputs], role: .bias)
    }
}
