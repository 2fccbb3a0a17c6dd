internal import TensorCore

extension StageA {
    /// The architecture's numbers, as in `vqgan/config.json`. Defaults are the published model's.
    public struct Configuration: Sendable, Hashable, Codable {
        /// Channels of the images.
        public var imageChannels = 3
        /// Side of the squares of pixels that are folded into channels first.
        public var patchSize = 2
        /// Levels; each after the first halves the sides.
        public var levels = 2
        /// Blocks of the decoder at the resolution of the latent.
        public var bottleneckBlocks = 12
        /// Width of the last level; each level before has half the width of its successor.
        public var channels = 384
        /// Channels of the latent.
        public var latentChannels = 4
        /// Entries of the codebook.
        public var codes = 8192
        /// What a latent of Stage B's is multiplied with before it is decoded.
        public var latentScale: Float = 0.3764

        enum CodingKeys: String, CodingKey, CaseIterable {
            case imageChannels = "in_channels"
            case patchSize = "up_down_scale_factor"
            case levels
            case bottleneckBlocks = "bottleneck_blocks"
            case channels = "embed_dim"
            case latentChannels = "latent_channels"
            case codes = "num_vq_embeddings"
            case latentScale = "scale_factor"
        }

        /// The names that early revisions of the published files used.
        private enum FormerKeys: String, CodingKey, CaseIterable {
            case channels = "c_hidden"
            case latentChannels = "c_latent"
            case codes = "codebook_size"
        }

        /// The published architecture.
        public init() {}

        /// Decodes a published `config.json`. Fields that are absent keep their defaults; fields of
        /// other names, or the name of another class, are an error.
        public init(from decoder: any Decoder) throws {
            let formerNames = FormerKeys.allCases.map(\.stringValue)
            try decoder.requireConfiguration(
                of: "Stage A", "PaellaVQModel", CodingKeys.self,
                passingOver: Set(formerNames + ["out_channels"]))
            let former = try decoder.container(keyedBy: FormerKeys.self)
            try former.update(&channels, .channels)
            try former.update(&latentChannels, .latentChannels)
            try former.update(&codes, .codes)
            let fields = try decoder.container(keyedBy: CodingKeys.self)
            try fields.update(&imageChannels, .imageChannels)
            try fields.update(&patchSize, .patchSize)
            try fields.update(&levels, .levels)
            try fields.update(&bottleneckBlocks, .bottleneckBlocks)
            try fields.update(&channels, .channels)
            try fields.update(&latentChannels, .latentChannels)
            try fields.update(&codes, .codes)
            try fields.update(&latentScale, .latentScale)
        }

        /// Width of each level, finest first.
        var widths: [Int] { (0..<levels).map { channels >> (levels - 1 - $0) } }

        func validate() throws {
            try requirePositive([
                "in_channels": imageChannels, "levels": levels, "embed_dim": channels,
                "latent_channels": latentChannels, "num_vq_embeddings": codes,
            ])
            try requirePositive(["up_down_scale_factor": patchSize], upTo: widestPatch)
            try requirePositive(["bottleneck_blocks": bottleneckBlocks], upTo: deepest)
            guard imageChannels == 3 else {
                throw WuerstchenError(
                    .invalidConfiguration, "in_channels is \(imageChannels); images have 3")
            }
            guard levels <= 16, channels >> (levels - 1) > 0 else {
                throw WuerstchenError(
                    .invalidConfiguration,
                    "embed_dim is \(channels), which cannot be halved for each of \(levels) levels")
            }
            guard latentScale.isFinite, latentScale != 0 else {
                throw WuerstchenError(.invalidConfiguration, "scale_factor is \(latentScale)")
            }
        }
    }
}
