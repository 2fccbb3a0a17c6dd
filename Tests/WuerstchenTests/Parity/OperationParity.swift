import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// Single operations and blocks, told apart by the case's name.
func checkOperation(
    _ test: Fixtures.Case, _ tensors: CaseTensors, _ comparison: inout Comparison
) throws {
    let name = String(test.name.dropFirst("op_".count))
    let epsilon = Float(test.scalars?["eps"]?.double ?? 1e-6)
    func x() throws -> Tensor { try tensors.map("in.x") }
    func channels() throws -> Int { try tensors.shape("in.x")[1] }
    /// A network of one layer made of the case's parameters, applied to its input.
    func layer(_ run: (Parameters) throws -> Tensor) throws {
        let result = try Parameters.load(from: tensors, run)
        try comparison.check(map: "y", result)
    }
    switch name {
    case "layernorm_channels":
        try comparison.check(map: "y", x().layerNormalized(epsilon: epsilon))
    case "layernorm_affine":
        let affine = (weight: try tensors("param.weight"), bias: try tensors("param.bias"))
        try comparison.check(
            "y", tensors("in.x").layerNormalized(epsilon: epsilon, affine: affine))
    case "grn":
        // Channels-last already. A linear layer with the unit matrix gives the sums of squares.
        let x = try tensors("in.x")
        let width = x.shape.channels
        let unit = PackedWeight(
            plain: Tensor(
                (0..<width * width).map { $0 % (width + 1) == 0 ? 1 : 0 }, [width, width]))
        let (same, sumOfSquares) = Tensor.linearWithSumOfSquares([Tensor.Term(x, unit)], for: unit)
        let response = Tensor.globalResponse(
            sumOfSquares: sumOfSquares, gamma: try tensors("param.gamma").reshaped(to: [width]))
        let beta = try tensors("param.beta").reshaped(to: [width])
        try comparison.check(
            "y",
            Tensor.linear(
                [Tensor.Term(same, unit, inputScale: response)], Epilogue(bias: beta)))
    case "batchnorm_eval", "batchnorm_eval_no_affine":
        try layer {
            try BatchNorm(
                $0, try channels(), epsilon: epsilon, isAffine: $0.contains("weight"))(try x())
        }
    case "gelu_erf": try comparison.check("y", tensors("in.x").activated(.gelu))
    case "quick_gelu": try comparison.check("y", tensors("in.x").activated(.quickGELU))
    case "silu": try comparison.check("y", tensors("in.x").activated(.silu))
    case "leaky_relu_0_2": try comparison.check("y", tensors("in.x").activated(.leakyReLU))
    case "float_to_uint8": try comparison.check("y", tensors("in.x").bytes.map(Float.init))
    case "depthwise3x3_zero_pad":
        try layer { try DepthwiseConvolution($0, try channels())(try x()) }
    case "depthwise3x3_replicate_pad":
        // The package has it behind a norm only; this is the twin that it is tested with.
        let weight = try tensors("param.1.weight").reshaped(to: [try channels(), 9])
        let result = Twin.depthwise(
            try x(), weight.matrixTransposed(), bias: try tensors("param.1.bias"), kernel: 3,
            replicates: true)
        try comparison.check(map: "y", Tensor(result.values.map { Float($0) }, result.shape))
    case "conv_k2s2", "conv_k4s2p1":
        let shape = try tensors.shape("param.weight")
        try layer {
            try Convolution(
                $0, shape[1], shape[0], kernel: shape[2], stride: 2, padding: shape[2] / 2 - 1)(
                    try x())
        }
    case "conv_transpose_k2s2", "conv_transpose_k4s2p1":
        let shape = try tensors.shape("param.weight")
        try layer {
            try TransposedConvolution(
                $0, shape[0], shape[1], kernel: shape[2], stride: 2, padding: shape[2] / 2 - 1)(
                    try x())
        }
    case "pixel_unshuffle", "pixel_shuffle":
        let factor = try #require(test.scalars?["factor"]?.int)
        try comparison.check(
            map: "y",
            name == "pixel_shuffle" ? x().pixelShuffled(factor) : x().pixelUnshuffled(factor))
    case let name where name.hasPrefix("bicubic_"):
        let height = try #require(test.scalars?["out_height"]?.int)
        let width = try #require(test.scalars?["out_width"]?.int)
        try comparison.check(
            map: "y", x().antialiasedBicubic(height: height, width: width))
    case "resblock_stage_c", "resblock_stage_b":
        try layer { try ResidualBlock($0, channels: try channels())(try x()) }
    case "resblock_stage_b_skip":
        let skip = try tensors.map("in.x_skip")
        try layer {
            try ResidualBlock(
                $0, channels: try channels(), skipChannels: skip.shape.channels)(
                    try x(), skip: skip)
        }
    case "resblock_stage_c_skip":
        try comparison.check(map: "y", groupedResidualBlock(tensors))
    case "timestep_block":
        let times = try tensors("in.t")
        try layer {
            try TimestepBlock($0, channels: try channels(), embedding: times.shape[1])(
                try x(), times)
        }
    case "attn_block_self":
        let text = try tensors("in.kv")
        try layer {
            let block = try AttentionBlock(
                $0, channels: try channels(), textChannels: text.shape[2],
                heads: try #require(test.scalars?["heads"]?.int))
            return block(try x(), text: block.prepare(text))
        }
    case "attn_block_cross_only":
        try comparison.check(
            map: "y", crossAttention(tensors, heads: #require(test.scalars?["heads"]?.int)))
    case "mixing_residual_block":
        try layer { try MixingBlock($0, channels: try channels())(try x()) }
    case let name where name.hasPrefix("r_embedding_"):
        let width = try #require(test.scalars?["c_r"]?.int)
        try comparison.check("y", timestepEmbedding(tensors("in.r").elements, width: width))
    case "squeeze_excite":
        let squeezed = try tensors.shape("param.fc1.weight")[0]
        try layer {
            try SqueezeExcitation($0, channels: try channels(), squeezed: squeezed)(try x())
        }
    case let name where name.hasPrefix("mbconv_") || name.hasPrefix("fused_mbconv_"):
        let outputs = try tensors.shape("out.y")[1]
        try layer {
            try MBConv(
                $0, isFused: name.hasPrefix("fused"), inputs: try channels(), outputs: outputs,
                expansion: try #require(test.scalars?["expand"]?.int),
                stride: try #require(test.scalars?["stride"]?.int))(try x())
        }
    default: Issue.record("the suite knows no operation \(name)")
    }
}

/// Stage C's residual block with a skip, which no published model has: the concatenated channels go
/// through a grouped convolution, two to a group.
private func groupedResidualBlock(_ tensors: CaseTensors) throws -> Tensor {
    let x = try tensors.map("in.x")
    let both = [x, try tensors.map("in.x_skip")]
    let channels = x.shape.channels
    let weight = try tensors("param.depthwise.weight")
    var mixed = Tensor(repeating: 0, x.shape)
    for member in 0..<2 {
        let input = Tensor(x.shape) { target in
            for index in target.indices {
                let joined = 2 * (index % channels) + member
                let part = both[joined / channels]
                target[index] =
                    part.elements[index / channels * channels + joined % channels]
            }
        }
        let taps = Tensor([9, channels]) { target in
            for index in target.indices {
                target[index] =
                    weight[index % channels, member, index / channels / 3, index / channels % 3]
            }
        }
        let bias =
            member == 0
            ? try tensors("param.depthwise.bias") : Tensor(repeating: 0, [channels])
        mixed = mixed + input.depthwiseConvolution(taps, bias: bias)
    }
    let hidden = 4 * channels
    let expand = PackedWeight(plain: try tensors("param.channelwise.0.weight"))
    let project = PackedWeight(plain: try tensors("param.channelwise.4.weight"))
    let (wide, sumOfSquares) = Tensor.linearWithSumOfSquares(
        [Tensor.Term(mixed.layerNormalized(), expand)],
        Epilogue(bias: try tensors("param.channelwise.0.bias"), activation: .gelu), for: project)
    let response = Tensor.globalResponse(
        sumOfSquares: sumOfSquares,
        gamma: try tensors("param.channelwise.2.gamma").reshaped(to: [hidden]))
    let beta = try tensors("param.channelwise.2.beta").reshaped(to: [1, 1, hidden])
    let bias = beta.linear(project, Epilogue(bias: try tensors("param.channelwise.4.bias")))
    return Tensor.linear(
        [Tensor.Term(wide, project, inputScale: response)],
        Epilogue(bias: bias.reshaped(to: [channels]), residual: x))
}

/// Attention to the text alone, which no published model has.
private func crossAttention(_ tensors: CaseTensors, heads: Int) throws -> Tensor {
    func linear(_ x: Tensor, _ name: String) throws -> Tensor {
        x.linear(
            try tensors("param.\(name).weight"),
            Epilogue(bias: try tensors("param.\(name).bias")))
    }
    let x = try tensors.map("in.x")
    let sequence: Shape = [x.shape[0], x.shape[1] * x.shape[2], x.shape[3]]
    let text = try linear(tensors("in.kv").activated(.silu), "kv_mapper.1")
    let memory = Tensor.KeyValues(
        keys: try linear(text, "attention.to_k"), values: try linear(text, "attention.to_v"))
    let queries = try linear(x.reshaped(to: sequence).layerNormalized(), "attention.to_q")
    let attended = queries.attention(to: [memory], heads: heads)
    return x + (try linear(attended, "attention.to_out.0")).reshaped(to: x.shape)
}

/// PyTorch's random numbers: `fresh_N` from a new generator, `stream_i_N` one after the other.
func checkRandomNumbers(_ test: Fixtures.Case, _ comparison: inout Comparison) throws {
    let seed = UInt64(try #require(test.scalars?["seed"]?.double))
    var stream = TorchGenerator(seed: seed)
    let outputs = (test.fields["outputs"]?.object ?? [:]).keys.map { String($0.dropFirst(4)) }
    func order(_ name: String) -> Int {
        let parts = name.split(separator: "_")
        return parts.count == 3 ? Int(parts[1]) ?? 0 : 0
    }
    for name in outputs.sorted(by: { order($0) < order($1) }) {
        let count = try #require(name.split(separator: "_").last.flatMap { Int($0) })
        var fresh = TorchGenerator(seed: seed)
        if name.hasPrefix("fresh_") {
            try comparison.check(name, fresh.normal(count))
        } else if name.hasPrefix("uniform_") {
            try comparison.check(name, fresh.uniform(count))
        } else {
            try comparison.check(name, stream.normal(count))
        }
    }
}
