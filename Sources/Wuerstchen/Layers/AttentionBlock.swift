internal import TensorCore
internal import WuerstchenNN

/// Attention of every position of a map to all positions of the map and to the text.
package struct AttentionBlock: Sendable {
    private let attention: Attention
    private let textMapper: Linear

    /// - Parameters:
    ///   - parameters: `attention.to_q`, `to_k`, `to_v`, `to_out.0` and `kv_mapper.1`.
    ///   - channels: Width of the map.
    ///   - textChannels: Width of the text's tokens.
    ///   - heads: Attention heads.
    /// - Throws: What reading the parameters throws.
    package init(_ parameters: Parameters, channels: Int, textChannels: Int, heads: Int) throws {
        attention = try Attention(parameters["attention"], channels: channels, heads: heads)
        textMapper = try Linear(
            parameters["kv_mapper"][1], textChannels, channels, initializer: .xavier())
    }

    /// Keys and values of the text, which do not change over the steps of an image.
    ///
    /// - Parameter text: `[texts, tokens, textChannels]`.
    /// - Returns: Keys and values, each `[texts, tokens, channels]`.
    package func prepare(_ text: Tensor) -> Tensor.KeyValues {
        attention.keysAndValues(of: Operand(textMapper(text.activated(.silu))))
    }

    /// - Parameters:
    ///   - x: `[batch, height, width, channels]`.
    ///   - text: What ``prepare(_:)`` made of the text.
    /// - Returns: `[batch, height, width, channels]`.
    package func callAsFunction(_ x: Tensor, text: Tensor.KeyValues) -> Tensor {
        let shape = x.shape
        let x = x.reshaped(to: [shape[0], shape[1] * shape[2], shape[3]])
        let normed = x.layerNormalized(for: attention.matrix)
        let own = attention.keysAndValues(of: normed)
        return attention(normed, to: [own, text], residual: x).reshaped(to: shape)
    }
}
