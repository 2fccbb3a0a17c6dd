internal import TensorCore

extension StageB {
    /// The architecture's numbers, as in `decoder/config.json`. Defaults are the published model's.
    public struct Configuration: Sendable, Hashable, Codable {
        /// Channels of the image latent.
        public var latentChannels = 4
        /// Channels of the predicted noise.
        public var outputChannels = 4
        /// Width of the timestep embedding.
        public var timestepChannels = 64
        /// Side of the squares of the latent that are folded into channels first.
        public var patchSize = 2
        /// Width of the mapped text and of the mapped semantic latent.
        public var conditioningChannels = 1024
        /// Width of each level, finest first.
        public var channels = [320, 640, 1280, 1280]
        /// Attention heads of each level; of no meaning where a level has no attention.
        public var heads = [-1, 10, 20, 20]
        /// Groups of blocks on each level, once on the way down and once on the way up.
        public var blocks = [4, 4, 14, 4]
        /// The blocks of one group on each level: C residual, T timestep, A attention.
        public var blockTypes = ["CT", "CTA", "CTA", "CTA"]
        /// Which levels see the semantic latent.
        public var injectsSemantics = [false, true, true, true]
        /// Channels of the semantic latent.
        public var semanticChannels = 16
        /// Width of the text encoder's tokens.
        public var textChannels = 1024
        /// Side of the depthwise kernels.
        public var kernelSize = 3
        /// For a stage that is a rectified flow, how it is to be sampled; nil for one that predicts
        /// noise, as published.
        public var flow: FlowConfiguration? {
            didSet { if flow != nil { sampling = nil } }
        }
        /// For a stage that predicts noise, how it is best sampled; nil for as published.
        public var sampling: SamplingConfiguration?

        enum CodingKeys: String, CodingKey, CaseIterable {
            case latentChannels = "c_in"
            case outputChannels = "c_out"
            case timestepChannels = "c_r"
            case patchSize = "patch_size"
            case conditioningChannels = "c_cond"
            case channels = "c_hidden"
            case heads = "nhead"
            case blocks
            case blockTypes = "level_config"
            case injectsSemantics = "inject_effnet"
            case semanticChannels = "effnet_embd"
            case textChannels = "clip_embd"
            case kernelSize = "kernel_size"
            case flow
            case sampling
        }

        /// Whether any level has attention, through which the text enters.
        public var hasAttention: Bool { blockTypes.contains { $0.contains("A") } }

        /// The published architecture.
        public init() {}

        /// Decodes a published `config.json`. Fields that are absent keep their defaults; fields of
        /// other names, or the name of another class, are an error.
        public init(from decoder: any Decoder) throws {
            try decoder.requireConfiguration(
                of: "Stage B", "WuerstchenDiffNeXt", CodingKeys.self, passingOver: ["dropout"])
            let fields = try decoder.container(keyedBy: CodingKeys.self)
            try fields.update(&latentChannels, .latentChannels)
            try fields.update(&outputChannels, .outputChannels)
            try fields.update(&timestepChannels, .timestepChannels)
            try fields.update(&patchSize, .patchSize)
            try fields.update(&conditioningChannels, .conditioningChannels)
            try fields.update(&channels, .channels)
            try fields.update(&heads, .heads)
            try fields.update(&blocks, .blocks)
            try fields.update(&blockTypes, .blockTypes)
            try fields.update(&injectsSemantics, .injectsSemantics)
            try fields.update(&semanticChannels, .semanticChannels)
            try fields.update(&textChannels, .textChannels)
            try fields.update(&kernelSize, .kernelSize)
            flow = try fields.decodeIfPresent(FlowConfiguration.self, forKey: .flow)
            sampling = try fields.decodeIfPresent(SamplingConfiguration.self, forKey: .sampling)
        }

        func validate() throws {
            try requirePositive([
                "c_in": latentChannels, "c_out": outputChannels,
                "c_cond": conditioningChannels, "effnet_embd": semanticChannels,
                "clip_embd": textChannels, "c_r": timestepChannels,
                "the number of levels": channels.count,
            ])
            try requirePositive(
                ["patch_size": patchSize, "kernel_size": kernelSize], upTo: widestPatch)
            try requireSampling(flow, sampling)
            func require(_ condition: Bool, _ message: @autoclosure () -> String) throws {
                if !condition { throw WuerstchenError(.invalidConfiguration, message()) }
            }
            try require(timestepChannels >= 4, "c_r is \(timestepChannels); it must be at least 4")
            try require(kernelSize % 2 == 1, "kernel_size is \(kernelSize); it must be odd")
            try require(
                latentChannels == outputChannels,
                "c_in is \(latentChannels) and c_out \(outputChannels); they must be equal")
            try require(channels.count <= 16, "c_hidden has \(channels.count) levels")
            for (name, count) in [
                ("nhead", heads.count), ("blocks", blocks.count),
                ("level_config", blockTypes.count), ("inject_effnet", injectsSemantics.count),
            ] {
                try require(
                    count == channels.count,
                    "\(name) has \(count) entries for the \(channels.count) levels of c_hidden")
            }
            for level in channels.indices {
                try requirePositive([
                    "c_hidden[\(level)]": channels[level]
                ])
                try requirePositive(["blocks[\(level)]": blocks[level]], upTo: deepest)
                let types = blockTypes[level]
                try require(
                    types.allSatisfy { "CTA".contains($0) },
                    "level_config[\(level)] is \"\(types)\"; the letters are C, T and A")
                if types.contains("A") {
                    try require(
                        heads[level] > 0 && channels[level] % heads[level] == 0,
                        "nhead[\(level)] is \(heads[level]) for \(channels[level]) channels")
                }
            }
        }
    }
}

extension KeyedDecodingContainer {
    /// Decodes a field if it is there and not null.
    func update<Value: Decodable>(_ value: inout Value, _ key: Key) throws {
        if let found = try decodeIfPresent(Value.self, forKey: key) { value = found }
    }
}
