internal import TensorCore

/// How a diffusion stage is sampled, whatever it predicts.
struct StageSampling {
    let name: String
    let schedule: NoiseSchedule
    let flow: FlowConfiguration?

    /// The change of variables: the flow's own, or that of a network that predicts noise.
    var map: FlowMap { flow?.map(schedule) ?? FlowMap(schedule: schedule, isClamped: true) }

    /// Refuses options that make no sense for the stage, before any work is done.
    func validate(_ options: SamplingOptions) throws {
        try options.validate()
        try flow?.validate(options, schedule, name)
    }

    /// The sampler that the options ask for, of a network that predicts noise, or velocities where
    /// there is a flow.
    func sampler(
        _ options: SamplingOptions, initial: Tensor, noise: any NoiseSource,
        _ network: @escaping GuidedDenoiser.Network
    ) throws -> any LatentSampler {
        guard let method = options.method.flowMethod else {
            return try Sampler(
                stage: name, schedule: schedule, options: options, initial: initial, noise: noise,
                denoiser: network)
        }
        return FlowSampler(
            field(guidance: try SamplingOptions.weight(options.guidance), network),
            timesteps: options.timesteps, method: method, initial: initial, noise: noise)
    }

    /// Such a network as a velocity field, without guidance if its weight is nil.
    func field(guidance: Float?, _ network: @escaping GuidedDenoiser.Network) -> FlowField {
        FlowField(
            map, GuidedDenoiser(name, guidance: guidance, network), predictsVelocity: flow != nil)
    }
}

extension SamplingMethod {
    /// The step along a flow; nil for diffusion.
    public var flowMethod: FlowMethod? {
        switch self {
        case .ddpm, .ddim: nil
        case .euler: .euler
        case .heun: .heun
        }
    }
}

/// A stage that samples.
public protocol SampledStage: Sendable {
    /// How the stage is meant to be sampled: as published, or, for a flow, as it was made.
    var defaultSampling: SamplingOptions { get }
    /// Whether the stage looks at text at all.
    var readsText: Bool { get }
}

/// What a stage's configuration alone says about how it is used.
struct KnownStage: SampledStage {
    let defaultSampling: SamplingOptions
    let readsText: Bool
}

extension StageC.Configuration {
    /// How a stage of this configuration is used.
    func known(_ schedule: NoiseSchedule) -> KnownStage {
        KnownStage(defaultSampling: flow?.sampling(schedule) ?? .stageC, readsText: true)
    }
}

extension StageB.Configuration {
    /// How a stage of this configuration is used.
    func known(_ schedule: NoiseSchedule) -> KnownStage {
        KnownStage(
            defaultSampling: flow?.sampling(schedule) ?? .stageB, readsText: hasAttention)
    }
}
