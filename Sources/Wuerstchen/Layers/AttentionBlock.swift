internal import TensorCore
internal import WuerstchenNN

/// Attention of every position of a map to all positions of the map and to the text.
package struct AttentionBlock: Sendable {
    private let queries: Linear
    private let keys: Linear
    private let values: Linear
    private let output: Linear
    private let textMapper: Linear
    private let heads: Int

    /// - Parameters:
    ///   - parameters: `attention.to_q`, `to_k`, `to_v`, `to_out.0` and `kv_mapper.1`.
    ///   - channels: Width of the map.
    ///   - textChannels: Width of the text's tokens.
    ///   - heads: Attention heads.
    /// - Throws: What reading the parameters throws.
    package init(_ parameters: Parameters, channels: Int, textChannels: Int, heads: Int) throws {
        let attention = parameters["attention"]
        queries = try Linear(attention["to_q"], channels, channels)
        keys = try Linear(attention["to_k"], channels, channels)
        values = try Linear(attention["to_v"], channels, channels)
        output = try Linear(attention["to_out"][0], channels, channels)
        textMapper = try Linear(parameters["kv_mapper"][1], textChannels, channels)
        self.heads = heads
    }

    /// Keys and values of the text, which do not change over the steps of an image.
    ///
    /// - Parameter text: `[texts, tokens, textChannels]`.
    /// - Returns: Keys and values, each `[texts, tokens, channels]`.
    package func prepare(_ text: Tensor) -> Tensor.KeyValues {
        let mapped = textMapper(text.activated(.silu))
        return Tensor.KeyValues(keys: keys(mapped), values: values(mapped))
    }

    /// - Parameters:
    ///   - x: `[batch, height, width, channels]`.
    ///   - text: What ``prepare(_:)`` made of the text.
    /// - Returns: `[batch, height, width, channels]`.
    package func callAsFunction(_ x: Tensor, text: Tensor.KeyValues) -> Tensor {
        let shape = x.shape
        let sequence: Shape = [shape[0], shape[1] * shape[2], shape[3]]
        let x = x.reshaped(to: sequence)
        let normed = x.layerNormalized(for: queries.matrix)
        let own = Tensor.KeyValues(keys: keys(normed), values: values(normed))
        let attended = queries(normed).attention(
            to: [own, text], heads: heads, precision: queries.matrix.precision)
        return output(attended, residual: x).reshaped(to: shape)
    }
}
