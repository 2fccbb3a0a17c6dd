/// What a stage's configuration and noise schedule say about its use, before weights are loaded.
public struct StageDescription: Sendable, Hashable {
    /// The stage's name in messages, such as `Stage C`.
    public let name: String
    /// How noise grows with time.
    public let schedule: NoiseSchedule
    /// The flow whose velocity the network predicts; nil for a network that predicts noise.
    public let flow: FlowConfiguration?
    /// How the stage is meant to be sampled: as published, or, for a flow, as it was trained.
    public let defaultSampling: SamplingOptions
    /// Whether the stage reads text at all.
    public let readsText: Bool
    /// Channels of the latents that the stage denoises.
    public let latentChannels: Int

    /// A description.
    ///
    /// - Parameters:
    ///   - name: The stage's name in messages.
    ///   - schedule: How noise grows with time.
    ///   - flow: The flow whose velocity the network predicts; nil for one that predicts noise.
    ///   - noiseSampling: How a network that predicts noise is meant to be sampled. A flow says so
    ///     itself.
    ///   - readsText: Whether the stage reads text at all.
    ///   - latentChannels: Channels of the latents that the stage denoises.
    public init(
        name: String, schedule: NoiseSchedule = NoiseSchedule(), flow: FlowConfiguration? = nil,
        noiseSampling: SamplingOptions, readsText: Bool, latentChannels: Int
    ) {
        self.name = name
        self.schedule = schedule
        self.flow = flow
        defaultSampling = flow?.sampling(schedule) ?? noiseSampling
        self.readsText = readsText
        self.latentChannels = latentChannels
    }

    /// The change of variables between diffusion and a flow: the flow's own, or that of a network
    /// that predicts noise.
    public var flowMap: FlowMap {
        flow?.map(schedule) ?? FlowMap(schedule: schedule, isClamped: true)
    }

    /// How the stage samples where some of it is asked to be otherwise.
    ///
    /// Other steps, or steps of another method, are equal in time, or along a flow in the flow's
    /// time. As many as the stage was made for stay the ones that it was made for.
    ///
    /// - Parameters:
    ///   - steps: The number of steps; nil for as many as it was made for.
    ///   - guidance: The guidance; nil for what it was made for.
    ///   - method: The method; nil for what it was made for.
    /// - Returns: The options; nil if nothing was asked for.
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` for what there cannot be.
    public func sampling(
        steps: Int? = nil, guidance: Float? = nil, method: SamplingMethod? = nil
    ) throws -> SamplingOptions? {
        guard steps != nil || guidance != nil || method != nil else { return nil }
        var options = defaultSampling
        if let method { options.method = method }
        // The times of a flow's solver are not those of diffusion.
        let isDiffusion = options.method.solver == nil && defaultSampling.method.solver != nil
        if let steps = steps ?? (isDiffusion ? defaultSampling.timesteps.count : nil),
            steps != defaultSampling.timesteps.count || options.method != defaultSampling.method
        {
            try Timesteps.validate(count: steps)
            options.timesteps = options.method.equalTimesteps(steps, along: flowMap)
        }
        if let guidance { options.guidance = guidance }
        try validate(options)
        return options
    }

    /// Refuses options that make no sense for the stage, before any work is done.
    ///
    /// - Throws: ``WuerstchenError`` with code `invalidRequest`.
    public func validate(_ options: SamplingOptions) throws {
        try options.validate()
        try flow?.validate(options, schedule, name)
    }
}

extension SamplingMethod {
    /// The solver of a flow; nil for diffusion.
    public var solver: FlowSolver? {
        switch self {
        case .ddpm, .ddim: nil
        case .euler: .euler
        case .heun: .heun
        case .dpmpp2M: .dpmpp2M
        }
    }

    /// Equal steps, as many as were found to be at least one: in time, or for the solver of a flow
    /// in the flow's time.
    func equalTimesteps(_ count: Int, along map: FlowMap) -> Timesteps {
        solver == nil ? Timesteps(equal: count) : map.equalTimesteps(count)
    }
}
