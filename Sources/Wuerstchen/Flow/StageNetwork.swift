internal import TensorCore

/// A diffusion stage under its conditioning, for whatever samples it.
struct StageNetwork {
    let name: String
    let schedule: NoiseSchedule
    let flow: FlowConfiguration?
    /// Predicts noise, or velocities where there is a flow.
    let network: GuidedDenoiser.Network

    /// The sampler that the options and the network ask for.
    func sampler(
        _ options: SamplingOptions, initial: Tensor, noise: any NoiseSource
    ) throws -> any LatentSampler {
        try options.validate()
        try flow?.validate(options, schedule, name)
        switch options.method {
        case .ddpm, .ddim:
            return try Sampler(
                stage: name, schedule: schedule, options: options, initial: initial, noise: noise,
                denoiser: network)
        case .euler, .heun:
            return FlowSampler(
                field(guidance: options.guidance), timesteps: options.timesteps,
                method: options.method, initial: initial, noise: noise)
        }
    }

    /// The network as a velocity field.
    func field(guidance: Float) -> FlowField {
        FlowField(
            flow?.map(schedule) ?? FlowMap(schedule: schedule, isClamped: true),
            GuidedDenoiser(name, guidance: guidance > 1 ? guidance : nil, network),
            predictsVelocity: flow != nil)
    }
}

extension StageC.Configuration {
    /// How a stage of this configuration is meant to be sampled.
    func standardSampling(_ schedule: NoiseSchedule) -> SamplingOptions {
        flow?.sampling(schedule) ?? .stageC
    }
}

extension StageB.Configuration {
    /// How a stage of this configuration is meant to be sampled.
    func standardSampling(_ schedule: NoiseSchedule) -> SamplingOptions {
        flow?.sampling(schedule) ?? .stageB
    }
}
