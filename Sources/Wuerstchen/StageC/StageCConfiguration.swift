internal import TensorCore

extension StageC {
    /// The architecture's numbers, as in `prior/config.json`. Defaults are the published model's.
    public struct Configuration: Sendable, Hashable, Codable {
        /// Channels of the semantic latent.
        public var latentChannels = 16
        /// Width of the network.
        public var channels = 1536
        /// Width of the text encoder's tokens.
        public var textChannels = 1280
        /// Width of the timestep embedding.
        public var timestepChannels = 64
        /// Number of (residual, timestep, attention) triples.
        public var depth = 32
        /// Attention heads.
        public var heads = 24
        /// For a stage that is a rectified flow, how it is to be sampled; nil for one that predicts
        /// noise, as published.
        public var flow: FlowConfiguration? {
            didSet { if flow != nil { sampling = nil } }
        }
        /// For a stage that predicts noise, how it is best sampled; nil for as published.
        public var sampling: SamplingConfiguration?

        enum CodingKeys: String, CodingKey, CaseIterable {
            case latentChannels = "c_in"
            case channels = "c"
            case textChannels = "c_cond"
            case timestepChannels = "c_r"
            case depth
            case heads = "nhead"
            case flow
            case sampling
        }

        /// The published architecture.
        public init() {}

        /// Decodes a published `config.json`. Fields that are absent keep their defaults; fields of
        /// other names, or the name of another class, are an error.
        public init(from decoder: any Decoder) throws {
            try decoder.requireConfiguration(
                of: "Stage C", "WuerstchenPrior", CodingKeys.self, passingOver: ["dropout"])
            let fields = try decoder.container(keyedBy: CodingKeys.self)
            try fields.update(&latentChannels, .latentChannels)
            try fields.update(&channels, .channels)
            try fields.update(&textChannels, .textChannels)
            try fields.update(&timestepChannels, .timestepChannels)
            try fields.update(&depth, .depth)
            try fields.update(&heads, .heads)
            flow = try fields.decodeIfPresent(FlowConfiguration.self, forKey: .flow)
            sampling = try fields.decodeIfPresent(SamplingConfiguration.self, forKey: .sampling)
        }

        func validate() throws {
            try requirePositive([
                "c_in": latentChannels, "c": channels, "c_cond": textChannels, "nhead": heads,
                "c_r": timestepChannels,
            ])
            try requirePositive(["depth": depth], upTo: deepest)
            try requireSampling(flow, sampling)
            guard timestepChannels >= 4 else {
                throw WuerstchenError(
                    .invalidConfiguration, "c_r is \(timestepChannels); it must be at least 4")
            }
            guard channels % heads == 0 else {
                throw WuerstchenError(
                    .invalidConfiguration,
                    "c is \(channels), which is not a multiple of nhead, \(heads)")
            }
        }
    }
}
