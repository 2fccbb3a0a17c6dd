public import Wuerstchen

extension Cascade {
    /// How Stage C samples with what a command was told to change; nil if that was nothing, so that
    /// it samples as it was made to.
    public func stageCSampling(
        steps: Int?, guidance: Float? = nil, method: SamplingMethod? = nil
    ) throws -> SamplingOptions? {
        try stageC.description().sampling(steps, guidance, method)
    }

    /// The same of Stage B; nil for a decoder without.
    public func stageBSampling(
        steps: Int?, guidance: Float? = nil, method: SamplingMethod? = nil
    ) throws -> SamplingOptions? {
        guard let decoder = decoder as? DiffusionDecoder else { return nil }
        return try decoder.stageB.description().sampling(steps, guidance, method)
    }
}

extension StageDescription {
    /// Steps along a flow are equal in the time of the stage's flow map.
    fileprivate func sampling(
        _ steps: Int?, _ guidance: Float?, _ method: SamplingMethod?
    ) throws -> SamplingOptions? {
        guard steps != nil || guidance != nil || method != nil else { return nil }
        var options = defaultSampling
        if let method { options.method = method }
        // The steps that a stage was made for stay the ones that it was made for.
        if let steps,
            steps != defaultSampling.timesteps.count || options.method != defaultSampling.method
        {
            options.timesteps =
                options.method.solver != nil
                ? try flowMap.timesteps(count: steps)
                : try Timesteps(count: steps)
        }
        if let guidance { options.guidance = guidance }
        return options
    }
}
