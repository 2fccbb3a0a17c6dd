public import TensorCore

/// A network that turns noise into latents, by diffusion or along a flow.
///
/// A stage says what it predicts and what its configuration means; sampling is written once, for
/// all of them.
public protocol DiffusionStage: Sendable {
    /// The architecture's numbers, as `config.json` has them.
    associatedtype Configuration: Codable, Sendable
    /// What the network is given beside the noisy latents; constant over the steps.
    associatedtype Conditioning: Sendable

    /// What a configuration and a noise schedule say about a stage, without its weights.
    static func description(
        of configuration: Configuration, schedule: NoiseSchedule
    ) -> StageDescription

    /// The architecture's numbers.
    var configuration: Configuration { get }
    /// How noise grows with time.
    var schedule: NoiseSchedule { get }

    /// What the network is trained to predict: noise, or where the description has a flow, its
    /// velocity or clean latents as that says.
    ///
    /// - Parameters:
    ///   - x: The noisy latents, `[batch, height, width, latentChannels]`.
    ///   - times: For each sample the time, 0 for clean to 1 for noise.
    ///   - conditioning: What the network is given beside them.
    /// - Returns: The prediction, in the shape of `x`.
    /// - Throws: `CancellationError` when the task is cancelled, or ``WuerstchenError``.
    func predict(_ x: Tensor, times: [Float], conditioning: Conditioning) throws -> Tensor
}

extension DiffusionStage {
    /// What the stage's configuration and schedule say about its use.
    public var description: StageDescription {
        Self.description(of: configuration, schedule: schedule)
    }

    /// How the stage is meant to be sampled: as published, or, for a flow, as it was trained.
    public var defaultSampling: SamplingOptions { description.defaultSampling }

    /// Whether the stage reads text at all.
    public var readsText: Bool { description.readsText }

    /// The change of variables between diffusion and the stage's flow.
    public var flowMap: FlowMap { description.flowMap }

    /// The noise that the network sees in noisy latents, also where it predicts a flow's velocity.
    ///
    /// - Parameters:
    ///   - x: The noisy latents, `[batch, height, width, latentChannels]`.
    ///   - times: For each sample the time, 0 for clean to 1 for noise.
    ///   - conditioning: What the network is given beside them.
    /// - Returns: The noise, in the shape of `x`.
    /// - Throws: What ``predict(_:times:conditioning:)`` throws.
    public func predictNoise(
        _ x: Tensor, times: [Float], conditioning: Conditioning
    ) throws -> Tensor {
        let predicted = try predict(x, times: times, conditioning: conditioning)
        guard let flow = description.flow else { return predicted }
        return flow.map(schedule).noise(predicted, flow.prediction, x, times)
    }

    /// A sampler that turns noise into latents step by step.
    ///
    /// - Parameters:
    ///   - conditioning: What the network is given. Under guidance it covers twice the batch: first
    ///     what to lead to, then what to lead away from.
    ///   - unguided: The first half of that alone, which saves the time of the other at times
    ///     outside ``SamplingOptions/guidanceInterval``.
    ///   - shape: The latents' shape, `[batch, height, width, latentChannels]`.
    ///   - initial: The noisy latents to start from; noise by default.
    ///   - edit: Clean latents to start from; it cannot be given together with `initial`.
    ///   - noise: The source of random numbers, drawn on for the start (unless `initial` is given)
    ///     and at each step.
    ///   - options: Steps, guidance and method; ``DiffusionStage/defaultSampling`` if nil.
    /// - Returns: The sampler, before its first step.
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` when the stage cannot be sampled so
    ///   or the shape does not fit.
    public func sampler(
        _ conditioning: Conditioning, unguided: Conditioning? = nil, shape: Shape,
        initial: Tensor? = nil, editing edit: LatentEdit? = nil, noise: any NoiseSource,
        options: SamplingOptions? = nil
    ) throws -> any Sampler {
        let description = description
        var options = options ?? description.defaultSampling
        try description.validate(options)
        guard shape.rank == 4, shape.channels == description.latentChannels,
            (0..<4).allSatisfy({ shape[$0] > 0 })
        else {
            throw WuerstchenError(
                .invalidRequest,
                "\(description.name) was asked for latents \(shape); it makes [batch, height, "
                    + "width, \(description.latentChannels)], at least one of each")
        }
        guard edit == nil || initial == nil else {
            throw WuerstchenError(
                .invalidRequest,
                "\(description.name) was given both noisy and clean latents to start from; give one"
            )
        }
        var noise = noise
        var start = try startingLatent(shape, initial, &noise, description.name)
        let map = description.flowMap
        var kept: KeptLatents?
        if let edit {
            options = try LatentEdit.options(options, from: edit.strength, description)
            let clean = try edit.latents(for: shape, description.name)
            kept = try edit.mask(for: shape, description.name).map { mask in
                KeptLatents(
                    clean: options.method.solver == nil ? clean : map.normalized(clean),
                    noise: start, mask: mask)
            }
            if edit.strength < 1 {
                let point = map.point(time: options.timesteps.times[0])
                start = Tensor.combine(Float(point.signal), clean, Float(point.noise), start)
            }
        }
        let denoiser = GuidedDenoiser(
            description.name, guidance: try Guidance(options),
            unguided: unguided.map { network($0) }, network(conditioning))
        guard let solver = options.method.solver else {
            return try DiffusionSampler(
                denoiser, schedule: schedule, options: options, initial: start, kept: kept,
                noise: noise)
        }
        return FlowSampler(
            FlowField(
                denoiser, map: map, predicting: description.flow?.prediction ?? .noise),
            timesteps: options.timesteps, solver: solver, initial: start, kept: kept, noise: noise)
    }

    /// The stage as a velocity field. Unlike a sampler it can be asked at any time, however many
    /// steps a student was distilled to.
    ///
    /// - Parameters:
    ///   - conditioning: What the network is given; under guidance as for a sampler.
    ///   - guidance: The weight of guidance; up to 1 there is none.
    /// - Returns: The field.
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` for a weight that is no number of
    ///   ordinary size.
    public func flow(_ conditioning: Conditioning, guidance: Float = 1) throws -> FlowField {
        let description = description
        return try FlowField(
            description.name, map: description.flowMap, guidance: guidance,
            predicting: description.flow?.prediction ?? .noise, network: network(conditioning))
    }

    private func network(_ conditioning: Conditioning) -> GuidedDenoiser.Network {
        { try predict($0, times: $1, conditioning: conditioning) }
    }
}

/// The latents that sampling starts from.
private func startingLatent(
    _ shape: Shape, _ initial: Tensor?, _ noise: inout any NoiseSource, _ stage: String
) throws -> Tensor {
    if let seeded = noise as? SeededNoise, seeded.count != shape[0] {
        throw WuerstchenError(
            .invalidRequest, "\(stage) was given \(seeded.count) seeds for \(shape[0]) images")
    }
    guard let initial else {
        return noise.next(batch: shape[0], height: shape[1], width: shape[2], channels: shape[3])
    }
    guard initial.shape == shape else {
        throw WuerstchenError(
            .invalidRequest,
            "\(stage) was given initial latents \(initial.shape) where \(shape) are needed")
    }
    return initial
}
