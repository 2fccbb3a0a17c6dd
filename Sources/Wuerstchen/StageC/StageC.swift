public import TensorCore
public import WuerstchenNN

/// Stage C: diffusion of the 42:1 compressed semantic latent, conditioned on text
/// (`WuerstchenPrior` of Pernias et al., "Würstchen", 2023).
///
/// A flat stack of residual, timestep and attention blocks at the resolution of the latent. It
/// predicts the noise in a noisy latent, or, where its configuration has a `flow`, a velocity;
/// ``sample(_:imageSize:multipleOf:seed:options:)`` turns text into a ``SemanticLatent``.
public struct StageC: Sendable {
    /// The architecture's numbers.
    public let configuration: Configuration
    /// How the latents relate to images and to what Stage B takes.
    public let latentSpace: SemanticLatentSpace
    /// How noise grows with time.
    public let schedule: NoiseSchedule
    /// For training: whether each block's activations are computed anew for its gradients, rather
    /// than kept. It takes a third more time and a fraction of the memory.
    public var checkpointsActivations = false

    private let network: StageCNetwork

    /// A network with the given parameters.
    ///
    /// - Parameters:
    ///   - configuration: The architecture's numbers.
    ///   - source: The parameters under their published names.
    ///   - precision: The numbers that the large matrices are stored in and multiplied with.
    ///   - latentSpace: How the latents relate to images and to what Stage B takes.
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
            try StageCNetwork($0, configuration)
        }
    }

    /// What is constant over the steps of an image: each block's keys and values of the text.
    public struct Conditioning: Sendable {
        let text: [Tensor.KeyValues]
    }

    /// Maps the text to keys and values of every block, once for all steps.
    ///
    /// - Parameter text: `[texts, tokens, textChannels]`. A batch of n images is divided into
    ///   equal runs of neighbours, one run for each text.
    /// - Returns: The conditioning, good for any number of steps.
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` for texts of another width.
    public func prepare(text: Tensor) throws -> Conditioning {
        try requireText(text, channels: configuration.textChannels, "Stage C")
        return prepare(text: text, trace: nil)
    }

    package func prepare(text: Tensor, trace: Trace?) -> Conditioning {
        Conditioning(text: network.prepare(text, trace: trace))
    }

    /// What the network is trained to predict of a latent: noise, or the velocity of a stage that
    /// is a flow.
    ///
    /// - Parameters:
    ///   - x: The noisy latent, `[batch, height, width, latentChannels]`.
    ///   - times: For each sample the time, 0 for clean to 1 for noise.
    ///   - conditioning: What ``prepare(text:)`` made of the text.
    /// - Returns: The prediction, in the shape of `x`.
    /// - Throws: `CancellationError` between blocks when the task is cancelled, or
    ///   ``WuerstchenError`` when the latents do not fit.
    public func predict(
        _ x: Tensor, times: [Float], conditioning: Conditioning
    ) throws -> Tensor {
        try predict(x, times: times, conditioning: conditioning, trace: nil)
    }

    func features(
        _ x: Tensor, times: [Float], text: [Tensor.KeyValues], after taps: [Int]
    ) throws -> [Tensor] {
        try requireLatents(x, channels: configuration.latentChannels, times: times, "Stage C")
        return try network.features(
            x, times: times, text: text, after: taps, checkpoints: checkpointsActivations)
    }

    package func predict(
        _ x: Tensor, times: [Float], conditioning: Conditioning, trace: Trace?
    ) throws -> Tensor {
        try requireLatents(
            x, channels: configuration.latentChannels, times: times, "Stage C")
        let ab = try network(
            x, times: times, text: conditioning.text, checkpoints: checkpointsActivations,
            trace: trace)
        guard configuration.flow == nil else { return ab }
        let channels = configuration.latentChannels
        let a = ab.channels(0..<channels)
        let b = ab.channels(channels..<2 * channels)
        return (x - a) / b.scaled(by: -1, shift: 1).abs().scaled(by: 1, shift: 1e-5)
    }
}
