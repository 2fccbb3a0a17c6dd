public import Wuerstchen

extension Cascade {
    /// How Stage C samples with what a command was told to change; nil if that was nothing, so that
    /// it samples as it was made to.
    public func priorSampling(
        steps: Int?, guidance: Float? = nil, method: SamplingMethod? = nil
    ) throws -> SamplingOptions? {
        try stageC.defaultSampling().changed(steps, guidance, method, stageC().flowMap)
    }

    /// The same of Stage B; nil for a decoder without.
    public func decoderSampling(
        steps: Int?, guidance: Float? = nil, method: SamplingMethod? = nil
    ) throws -> SamplingOptions? {
        guard let decoder = decoder as? DiffusionDecoder else { return nil }
        return try decoder.stageB.defaultSampling().changed(
            steps, guidance, method, decoder.stageB().flowMap)
    }
}

extension SamplingOptions {
    /// Steps along a flow are equal in the time of the stage's map.
    fileprivate func changed(
        _ steps: Int?, _ guidance: Float?, _ method: SamplingMethod?,
        _ map: @autoclosure () throws -> FlowMap
    ) throws -> SamplingOptions? {
        guard steps != nil || guidance != nil || method != nil else { return nil }
        var options = self
        if let method { options.method = method }
        // The steps that a stage was made for stay the ones that it was made for.
        if let steps, steps != timesteps.count || options.method != self.method {
            options.timesteps =
                options.method.flowMethod != nil
                ? try map().timesteps(count: steps)
                : try Timesteps(count: steps)
        }
        if let guidance { options.guidance = guidance }
        return options
    }
}
