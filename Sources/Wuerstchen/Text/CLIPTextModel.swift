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
        /// Width of the MLPs.
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

        private enum ModelTypeKey: String, CodingKey {
            case type = "model_type"
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

        /// Decodes a published `config.json`. Fields of other names are passed over, since the
        /// transformers library writes many, but another type of model is an error.
        public init(from decoder: any Decoder) throws {
            let type = try decoder.container(keyedBy: ModelTypeKey.self)
                .decodeIfPresent(String.self, forKey: .type)
            guard type == nil || type == "clip_text_model" || type == "clip" else {
                throw WuerstchenError(
                    .invalidConfiguration,
                    "describes a model of type \(type ?? ""); a text encoder is a clip_text_model. "
                        + "Check which file is which")
            }
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
        let attentionNorm: LayerNorm
        let attention: Attention
        let mlpNorm: LayerNorm
        let mlp: (first: Linear, second: Linear)

        /// Initialisers are those of transformers' `modeling_clip.py`.
        init(_ parameters: Parameters, _ c: Configuration) throws {
            let width = Float(c.channels)
            let depth = (2 * Float(c.layers)).squareRoot()
            let inner = Initializer.normal(deviation: 1 / width.squareRoot() / depth)
            attentionNorm = try LayerNorm(
                parameters["layer_norm1"], c.channels, epsilon: c.normalizationEpsilon)
            attention = try Attention(
                parameters["self_attn"], channels: c.channels, heads: c.heads,
                names: .transformers, initializer: inner,
                outputInitializer: .normal(deviation: 1 / width.squareRoot()))
            mlpNorm = try LayerNorm(
                parameters["layer_norm2"], c.channels, epsilon: c.normalizationEpsilon)
            mlp = (
                try Linear(
                    parameters["mlp"]["fc1"], c.channels, c.hiddenChannels,
                    initializer: .normal(deviation: 1 / (2 * width).squareRoot())),
                try Linear(
                    parameters["mlp"]["fc2"], c.hiddenChannels, c.channels, initializer: inner)
            )
        }
    }

    /// The architecture's numbers.
    public let configuration: Configuration
    private let activation: Activation
    private let tokens: Embedding
    private let positions: Embedding
    private let layers: [Layer]
    private let finalNorm: LayerNorm

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
        // What only the whole CLIP uses, of which a text encoder may have been cut out.
        let ignored: (String) -> Bool = {
            ["text_projection.weight", "visual_projection.weight"].contains($0)
                || $0.hasPrefix("vision_model.")
        }
        (tokens, positions, layers, finalNorm) = try Parameters.load(
            from: source, precision: precision, ignoring: ignored
        ) { top in
            let root = bare ? top : top["text_model"]
            let embeddings = root["embeddings"]
            func embedding(_ name: String, _ count: Int) throws -> Embedding {
                try Embedding(
                    embeddings[name], count: count, channels: c.channels,
                    initializer: .normal(deviation: 0.02))
            }
            return (
                try embedding("token_embedding", c.vocabularySize),
                try embedding("position_embedding", c.positions),
                try (0..<c.layers).map { try Layer(root["encoder"]["layers"][$0], c) },
                try LayerNorm(
                    root["final_layer_norm"], c.channels, epsilon: c.normalizationEpsilon)
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
        let length = ids.first?.count ?? 0
        guard length > 0, length <= configuration.positions,
            ids.allSatisfy({ $0.count == length }), mask.map(\.count) == ids.map(\.count)
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
        let shape: Shape = [ids.count, length, configuration.channels]
        let words = tokens(Array(ids.joined())).reshaped(to: shape)
        let places = Tensor.concatenating(ids.map { _ in positions.table[0..<length] })
        var x = words + places.reshaped(to: shape)
        trace?("embeddings", x)
        let visible = Tensor(mask.joined().map { $0 ? 0 : -.infinity }, [ids.count, length])
        for (index, layer) in layers.enumerated() {
            try Task.checkCancellation()
            let normed = layer.attentionNorm(x, for: layer.attention.matrix)
            let memory = layer.attention.keysAndValues(of: normed, mask: visible)
            x = layer.attention(normed, to: [memory], isCausal: true, residual: x)
            let second = layer.mlpNorm(x, for: layer.mlp.first.matrix)
            x = layer.mlp.second(layer.mlp.first(second, activation), residual: x)
            trace?("after_layer_\(index + 1)", x)
        }
        return finalNorm(x)
    }
}
