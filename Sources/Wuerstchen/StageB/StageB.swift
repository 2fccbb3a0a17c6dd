public import TensorCore
public import WuerstchenNN

/// Stage B: latent diffusion from the semantic latent into the space of the VQGAN, Stage A
/// (`WuerstchenDiffNeXt` of Pernias et al., "Würstchen", 2023).
///
/// A U-Net of residual, timestep and attention blocks over a noisy image latent. The semantic
/// latent is resized to every level and concatenated to the features of its residual blocks; the
/// text enters through attention.
public struct StageB: Sendable {
    /// The architecture's numbers.
    public let configuration: Configuration
    /// How the semantic latents that it takes relate to the image latents that it makes.
    public let latentSpace: SemanticLatentSpace
    /// How noise grows with time.
    public let schedule: NoiseSchedule
    /// For training: whether each block's activations are computed anew for its gradients, rather
    /// than kept. It takes a third more time and a fraction of the memory.
    public var checkpointsActivations = false

    private let network: StageBNetwork

    /// A network with the given parameters.
    ///
    /// - Parameters:
    ///   - configuration: The architecture's numbers.
    ///   - source: The parameters under their published names.
    ///   - precision: The numbers that the large matrices are stored in and multiplied with.
    ///   - latentSpace: How the semantic latents that it takes relate to the image latents that it
    ///     makes.
    ///   - schedule: How noise grows with time.
    /// - Throws: ``WuerstchenError`` when the configuration contradicts itself, when parameters are
    ///   missing, surplus or misshapen, or when OpenBLAS is not installed.
    public init(
        configuration: Configuration, parameters source: any ParameterSource,
        precision: Precision = .float32, latentSpace: SemanticLatentSpace = SemanticLatentSpace(),
        schedule: NoiseSchedule = NoiseSchedule()
    ) throws {
        _ = try BLAS.load()
        try configuration.validate()
        try latentSpace.validate()
        try schedule.validate()
        self.configuration = configuration
        self.latentSpace = latentSpace
        self.schedule = schedule
        network = try Parameters.load(from: source, precision: precision) {
            try StageBNetwork($0, configuration)
        }
    }

    /// What is constant over the steps of an image: keys and values of the text, and the semantic
    /// latent resized to each level.
    public struct Conditioning: Sendable {
        let text: [Tensor.KeyValues]
        let semantic: [Tensor?]
        let height: Int
        let width: Int
    }

    /// The side of the image latent for a side of the semantic latent, or nil where the network
    /// cannot run on it.
    ///
    /// The latent is folded by the patch size and halved between levels, and every half must be
    /// whole. With the published numbers that leaves the multiples of three.
    public func latentSide(forSemanticSide side: Int) -> Int? {
        StageB.latentSide(forSemanticSide: side, in: latentSpace, configuration: configuration)
    }

    static func latentSide(
        forSemanticSide side: Int, in space: SemanticLatentSpace, configuration: Configuration
    ) -> Int? {
        let latent = Int(Double(side) * space.latentsPerPosition)
        let unit = configuration.patchSize << (configuration.channels.count - 1)
        return latent > 0 && latent % unit == 0 ? latent : nil
    }

    /// Prepares the conditioning for all steps.
    ///
    /// - Parameters:
    ///   - semantic: The semantic latents as Stage B takes them, `[batch, rows, columns,
    ///     semanticChannels]`; zeros for the unconditional half of guidance.
    ///   - text: `[texts, tokens, textChannels]`, a batch being divided into equal runs of
    ///     neighbours; nil only for a network without attention.
    /// - Returns: The conditioning, good for any number of steps.
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` when the network cannot run on a
    ///   latent of that size.
    public func prepare(semantic: Tensor, text: Tensor?) throws -> Conditioning {
        guard semantic.shape.rank == 4, semantic.count > 0,
            semantic.shape[3] == configuration.semanticChannels
        else {
            throw WuerstchenError(
                .invalidRequest,
                "Stage B takes semantic latents [batch, rows, columns, "
                    + "\(configuration.semanticChannels)], not \(semantic.shape)")
        }
        if let text {
            try requireText(text, channels: configuration.textChannels, "Stage B")
            guard semantic.shape[0].isMultiple(of: text.shape[0]) else {
                throw WuerstchenError(
                    .invalidRequest,
                    "Stage B cannot divide \(semantic.shape[0]) semantic latents into equal runs "
                        + "for \(text.shape[0]) texts")
            }
        }
        guard let height = latentSide(forSemanticSide: semantic.shape[1]),
            let width = latentSide(forSemanticSide: semantic.shape[2])
        else {
            func nearest(_ side: Int) -> String {
                for distance in 0...64 {
                    for other in [side + distance, side - distance]
                    where latentSide(forSemanticSide: other) != nil {
                        return "\(other)"
                    }
                }
                return "?"
            }
            throw WuerstchenError(
                .invalidRequest,
                "Stage B cannot run on a semantic latent of \(semantic.shape[2])×"
                    + "\(semantic.shape[1]); its sides must be ones that latentSide accepts "
                    + "(multiples of 3 with the published configuration), the nearest being "
                    + "\(nearest(semantic.shape[2]))×\(nearest(semantic.shape[1]))")
        }
        guard text != nil || !configuration.hasAttention else {
            throw WuerstchenError(
                .invalidRequest, "this Stage B reads text; encode the prompt, which may be empty")
        }
        return prepare(semantic: semantic, text: text, height: height, width: width, trace: nil)
    }

    /// The same for an image latent of any height and width that the levels divide.
    package func prepare(
        semantic: Tensor, text: Tensor?, height: Int, width: Int, trace: Trace?
    ) -> Conditioning {
        var keyValues: [Tensor.KeyValues] = []
        if let text {
            let mapped = network.textMapper(text).layerNormalized()
            trace?("text", mapped)
            keyValues = network.attentionBlocks.map { $0.prepare(mapped) }
        }
        let levels = configuration.channels.indices
        let maps: [Tensor?] = levels.map { level in
            guard configuration.injectsSemantics[level] else { return nil }
            let divisor = configuration.patchSize << level
            return semantic.antialiasedBicubic(height: height / divisor, width: width / divisor)
        }
        return Conditioning(text: keyValues, semantic: maps, height: height, width: width)
    }

    /// What the network is trained to predict of a latent: noise, or the velocity of a stage that
    /// is a flow.
    ///
    /// - Parameters:
    ///   - x: The noisy latent, `[batch, height, width, latentChannels]`.
    ///   - times: For each sample the time, 0 for clean to 1 for noise.
    ///   - conditioning: What ``prepare(semantic:text:)`` made of the semantic latent and the text.
    /// - Returns: The prediction, in the shape of `x`.
    /// - Throws: `CancellationError` between blocks when the task is cancelled, or
    ///   ``WuerstchenError`` when the latents do not fit.
    public func predict(
        _ x: Tensor, times: [Float], conditioning: Conditioning
    ) throws -> Tensor {
        try require(x, times, conditioning)
        return try predict(x, times: times, conditioning: conditioning, trace: nil)
    }

    /// What the network sees in a latent on its way down: the deepest level, which is its encoder's
    /// end.
    ///
    /// - Parameters:
    ///   - x: The noisy latent, `[batch, height, width, latentChannels]`.
    ///   - times: For each sample the time, 0 for clean to 1 for noise.
    ///   - conditioning: What ``prepare(semantic:text:)`` made of the semantic latent and the text.
    /// - Returns: The features of one level.
    /// - Throws: As ``predict(_:times:conditioning:)``.
    public func features(
        _ x: Tensor, times: [Float], conditioning: Conditioning
    ) throws -> [Tensor] {
        try require(x, times, conditioning)
        return try network.features(
            x, times: times, conditioning: conditioning, checkpoints: checkpointsActivations)
    }

    private func require(_ x: Tensor, _ times: [Float], _ conditioning: Conditioning) throws {
        try requireLatents(
            x, channels: configuration.latentChannels, times: times, "Stage B")
        guard x.shape[1] == conditioning.height, x.shape[2] == conditioning.width else {
            throw WuerstchenError(
                .invalidRequest,
                "Stage B was prepared for \(conditioning.height)×\(conditioning.width) positions and "
                    + "given latents \(x.shape)")
        }
    }

    package func predict(
        _ x: Tensor, times: [Float], conditioning: Conditioning, trace: Trace?
    ) throws -> Tensor {
        let ab = try network(
            x, times: times, conditioning: conditioning, checkpoints: checkpointsActivations,
            trace: trace)
        guard configuration.flow == nil else { return ab }
        let channels = configuration.outputChannels
        let a = ab.channels(0..<channels)
        let b = ab.channels(channels..<2 * channels).activated(.sigmoid)
            .scaled(by: 1 - 2e-3, shift: 1e-3)
        trace?("a", a)
        trace?("b", b)
        return (x - a) / b
    }
}
