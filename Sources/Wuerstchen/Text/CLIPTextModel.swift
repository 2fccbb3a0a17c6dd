public import TensorCore
public import WuerstchenNN

/// The text transformer of CLIP (Radford et al., "Learning Transferable Visual Models From Natural
/// Language Supervision", 2021), as OpenCLIP's ViT-bigG/14 and ViT-H/14 have it.
public struct CLIPTextModel: Sendable {
    /// The architecture's numbers, as in `text_encoder/config.json`.
    ///
    /// The token numbers in published files are left-overs without meaning; what counts is the
    /// tokenizer.
    public struct Configuration: Sendable, Hashable, Codable {
        /// Width of the network.
        public var channels: Int
        /// Width of the perceptrons.
        public var hiddenChannels: Int
        /// Number of layers.
        public var layers: Int
        /// Attention heads.
        public var heads: Int
        /// Longest sequence of tokens.
        public var positions = 77
        /// Number of tokens in the vocabulary.
        public var vocabularySize = 49408
        /// ε of the layer norms.
        public var normalizationEpsilon: Float = 1e-5
        /// The activation: `gelu` (exact) or `quick_gelu`.
        public var activationName = "gelu"

        enum CodingKeys: String, CodingKey {
            case channels = "hidden_size"
            case hiddenChannels = "intermediate_size"
            case layers = "num_hidden_layers"
            case heads = "num_attention_heads"
            case positions = "max_position_embeddings"
            case vocabularySize = "vocab_size"
            case normalizationEpsilon = "layer_norm_eps"
            case activationName = "hidden_act"
        }

        /// An architecture of the given numbers; what is not given is as published.
        public init(channels: Int, hiddenChannels: Int, layers: Int, heads: Int) {
            self.channels = channels
            self.hiddenChannels = hiddenChannels
            self.layers = layers
            self.heads = heads
        }

        /// OpenCLIP ViT-bigG/14, the text encoder in front of Stage C.
        public static let bigG = Configuration(
            channels: 1280, hiddenChannels: 5120, layers: 32, heads: 20)
        /// OpenCLIP ViT-H/14, the text encoder in front of Stage B.
        public static let huge = Configuration(
            channels: 1024, hiddenChannels: 4096, layers: 24, heads: 16)

        /// Decodes a published `config.json`; fields of other names are passed over.
        public init(from decoder: any Decoder) throws {
            let fields = try decoder.container(keyedBy: CodingKeys.self)
            channels = try fields.decode(Int.self, forKey: .channels)
            hiddenChannels = try fields.decode(Int.self, forKey: .hiddenChannels)
            layers = try fields.decode(Int.self, forKey: .layers)
            heads = try fields.decode(Int.self, forKey: .heads)
            try fields.update(&positions, .positions)
            try fields.update(&vocabularySize, .vocabularySize)
            try fields.update(&normalizationEpsilon, .normalizationEpsilon)
            try fields.update(&activationName, .activationName)
        }

        /// The activation function that ``activationName`` names.
        func activation() throws -> Activation {
            switch activationName {
            case "gelu": return .gelu
            case "quick_gelu": return .quickGELU
            default:
                throw WuerstchenError(
                    .invalidConfiguration,
                    "hidden_act is \"\(activationName)\"; supported are gelu and quick_gelu")
            }
        }

        func validate() throws {
            try requirePositive([
                "hidden_size": channels, "intermediate_size": hiddenChannels,
                "num_attention_heads": heads, "max_position_embeddings": positions,
                "vocab_size": vocabularySize,
            ])
            try requirePositive(["num_hidden_layers": layers], upTo: deepest)
            guard normalizationEpsilon > 0, normalizationEpsilon < 1 else {
                throw WuerstchenError(
                    .invalidConfiguration,
                    "layer_norm_eps is \(normalizationEpsilon); it must be between 0 and 1")
            }
            guard channels % heads == 0 else {
                throw WuerstchenError(
                    .invalidConfiguration,
                    "hidden_size is \(channels), no multiple of num_attention_heads, \(heads)")
            }
            _ = try activation()
        }
    }

    private struct Layer: Sendable {
        let attentionNorm: (weight: Tensor, bias: Tensor)
        let queries: Linear
        let keys: Linear
        let values: Linear
        let output: Linear
        let perceptronNorm: (weight: Tensor, bias: Tensor)
        let first: Linear
        let second: Linear
    }

    /// The architecture's numbers.
    public let configuration: Configuration
    private let activation: Activation
    private let tokenEmbedding: Tensor
    private let positionEmbedding: Tensor
    private let layers: [Layer]
    private let finalNorm: (weight: Tensor, bias: Tensor)

    /// A network with the given parameters.
    ///
    /// - Parameters:
    ///   - configuration: The architecture's numbers.
    ///   - source: The parameters under their published names, with or without `text_model.` in
    ///     front.
    ///   - precision: The numbers that the large matrices are stored in and multiplied with.
    /// - Throws: ``WuerstchenError`` when the configuration contradicts itself, when parameters are
    ///   missing, surplus or misshapen, or when OpenBLAS is not installed.
    public init(
        configuration: Configuration, parameters source: any ParameterSource,
        precision: Precision = .float32
    ) throws {
        _ = try BLAS.load()
        try configuration.validate()
        self.configuration = configuration
        activation = try configuration.activation()
        let c = configuration
        // Newer releases of transformers leave the prefix out.
        let bare = source.names?.contains("final_layer_norm.weight") ?? false
        // Integer positions in old files, and the projection that only the full CLIP uses.
        let ignored: (String) -> Bool = {
            $0.hasSuffix("position_ids") || $0 == "text_projection.weight"
        }
        (tokenEmbedding, positionEmbedding, layers, finalNorm) = try Parameters.load(
            from: source, precision: precision, ignoring: ignored
        ) { top in
            let root = bare ? top : top["text_model"]
            func norm(_ parameters: Parameters) throws -> (Tensor, Tensor) {
                (try parameters("weight", [c.channels]), try parameters("bias", [c.channels]))
            }
            let embeddings = root["embeddings"]
            return (
                try embeddings["token_embedding"]("weight", [c.vocabularySize, c.channels]),
                try embeddings["position_embedding"]("weight", [c.positions, c.channels]),
                try (0..<c.layers).map { index in
                    let layer = root["encoder"]["layers"][index]
                    let attention = layer["self_attn"]
                    return Layer(
                        attentionNorm: try norm(layer["layer_norm1"]),
                        queries: try Linear(attention["q_proj"], c.channels, c.channels),
                        keys: try Linear(attention["k_proj"], c.channels, c.channels),
                        values: try Linear(attention["v_proj"], c.channels, c.channels),
                        output: try Linear(attention["out_proj"], c.channels, c.channels),
                        perceptronNorm: try norm(layer["layer_norm2"]),
                        first: try Linear(layer["mlp"]["fc1"], c.channels, c.hiddenChannels),
                        second: try Linear(layer["mlp"]["fc2"], c.hiddenChannels, c.channels))
                },
                try norm(root["final_layer_norm"])
            )
        }
    }

    /// The last hidden states, after the final norm: what the stages are conditioned on.
    ///
    /// A position attends to itself and to those before it, unless they are padding.
    ///
    /// - Parameters:
    ///   - ids: The tokens of each text, all of one length.
    ///   - mask: For each token whether it is text, not padding.
    /// - Returns: `[texts, tokens, channels]`, rows of padding included.
    /// - Throws: `CancellationError` between layers when the task is cancelled.
    public func callAsFunction(ids: [[Int]], mask: [[Bool]]) throws -> Tensor {
        try self(ids: ids, mask: mask, trace: nil)
    }

    package func callAsFunction(ids: [[Int]], mask: [[Bool]], trace: Trace?) throws -> Tensor {
        let tokens = ids.first?.count ?? 0
        let epsilon = configuration.normalizationEpsilon
        guard tokens > 0, tokens <= configuration.positions,
            ids.allSatisfy({ $0.count == tokens }), mask.map(\.count) == ids.map(\.count)
        else {
            throw WuerstchenError(
                .invalidRequest,
                "texts of \(ids.map(\.count)) tokens with masks of \(mask.map(\.count)); all must "
                    + "have one length from 1 to \(configuration.positions)")
        }
        if let stray = ids.joined().first(where: { $0 < 0 || $0 >= configuration.vocabularySize }) {
            throw WuerstchenError(
                .invalidVocabulary,
                "token \(stray) is outside the \(configuration.vocabularySize) tokens of the text "
                    + "encoder; tokenizer and text encoder do not belong together")
        }
        let shape: Shape = [ids.count, tokens, configuration.channels]
        let words = tokenEmbedding.embeddingLookup(Array(ids.joined())).reshaped(to: shape)
        let places = Tensor.concatenating(ids.map { _ in positionEmbedding[0..<tokens] })
        var x = words + places.reshaped(to: shape)
        trace?("embeddings", x)
        let visible = Tensor(
            mask.joined().map { $0 ? 0 : -.infinity }, [ids.count, tokens])
        for (index, layer) in layers.enumerated() {
            try Task.checkCancellation()
            let normed = x.layerNormalized(
                epsilon: epsilon, affine: layer.attentionNorm, for: layer.queries.matrix)
            let memory = Tensor.KeyValues(
                keys: layer.keys(normed), values: layer.values(normed), mask: visible)
            let attended = layer.queries(normed).attention(
                to: [memory], heads: configuration.heads, causal: true,
                precision: layer.queries.matrix.precision)
            x = layer.output(attended, residual: x)
            let second = x.layerNormalized(
                epsilon: epsilon, affine: layer.perceptronNorm, for: layer.first.matrix)
            x = layer.second(layer.first(second, activation), residual: x)
            trace?("after_layer_\(index + 1)", x)
        }
        return x.layerNormalized(epsilon: epsilon, affine: finalNorm)
    }
}
