public import TensorCore

/// Multi-head attention (Vaswani et al., "Attention Is All You Need", 2017) with linear layers for
/// queries, keys, values and the result.
public struct Attention: Sendable {
    /// What the four layers are called.
    public struct Names: Sendable {
        let queries: String
        let keys: String
        let values: String
        let output: String

        /// Names of your own.
        public init(queries: String, keys: String, values: String, output: String) {
            self.queries = queries
            self.keys = keys
            self.values = values
            self.output = output
        }

        /// `to_q`, `to_k`, `to_v` and `to_out.0`, as in diffusers.
        public static let diffusers = Names(
            queries: "to_q", keys: "to_k", values: "to_v", output: "to_out.0")
        /// `q_proj`, `k_proj`, `v_proj` and `out_proj`, as in transformers.
        public static let transformers = Names(
            queries: "q_proj", keys: "k_proj", values: "v_proj", output: "out_proj")
    }

    /// The number of heads.
    public let heads: Int
    private let queries: Linear
    private let keys: Linear
    private let values: Linear
    private let output: Linear

    /// A layer from the `weight` and `bias` of each of the four.
    ///
    /// - Parameters:
    ///   - parameters: The layer's parameters.
    ///   - channels: Channels of queries, keys, values and the result; a multiple of `heads`.
    ///   - heads: The number of heads.
    ///   - names: What the four layers are called.
    ///   - initializer: How the weights of queries, keys and values are drawn.
    ///   - outputInitializer: How the weight of the result is drawn.
    /// - Throws: ``WuerstchenError`` with code `invalidConfiguration` if the heads do not divide
    ///   the channels, and what reading the parameters throws.
    public init(
        _ parameters: Parameters, channels: Int, heads: Int, names: Names = .diffusers,
        initializer: Initializer = .xavier(stacked: 3), outputInitializer: Initializer = .xavier()
    ) throws {
        guard heads > 0, channels > 0, channels % heads == 0 else {
            throw WuerstchenError(
                .invalidConfiguration,
                "attention of \(channels) channels in \(heads) heads; heads must divide the channels"
            )
        }
        func linear(_ name: String, _ initializer: Initializer) throws -> Linear {
            try Linear(parameters[name], channels, channels, initializer: initializer)
        }
        queries = try linear(names.queries, initializer)
        keys = try linear(names.keys, initializer)
        values = try linear(names.values, initializer)
        output = try linear(names.output, outputInitializer)
        self.heads = heads
    }

    /// A matrix for ``LayerNorm/callAsFunction(_:for:)`` and its like to normalise features for.
    public var matrix: PackedWeight { queries.matrix }

    /// What can be attended to.
    ///
    /// - Parameters:
    ///   - x: `[samples, positions, channels]`.
    ///   - mask: Which positions may be looked at, `[samples, positions]`: 0 if so and −∞ if not.
    /// - Returns: Keys and values, each `[samples, positions, channels]`.
    public func keysAndValues(of x: Operand, mask: Tensor? = nil) -> Tensor.KeyValues {
        Tensor.KeyValues(keys: keys(x), values: values(x), mask: mask)
    }

    /// Attention of every position to all positions of the segments together.
    ///
    /// - Parameters:
    ///   - x: `[samples, positions, channels]`.
    ///   - segments: What ``keysAndValues(of:mask:)`` made of what is attended to.
    ///   - isCausal: Whether a position looks at itself and those before it alone; for one segment.
    ///   - residual: What is added at the end, in the shape of the result.
    /// - Returns: `[samples, positions, channels]`.
    public func callAsFunction(
        _ x: Operand, to segments: [Tensor.KeyValues], isCausal: Bool = false,
        residual: Tensor? = nil
    ) -> Tensor {
        let attended = queries(x).attention(
            to: segments, heads: heads, causal: isCausal, precision: matrix.precision)
        return output(attended, residual: residual)
    }
}
