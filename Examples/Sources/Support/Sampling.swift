public import Wuerstchen

extension SamplingOptions {
    /// These options with what a command was told to change; nil if that was nothing, so that a
    /// stage samples as it was made to.
    public func changed(
        steps: Int?, guidance: Float?, method: SamplingMethod? = nil
    ) throws -> SamplingOptions? {
        guard steps != nil || guidance != nil || method != nil else { return nil }
        var options = self
        if let method { options.method = method }
        // The steps that a stage was made for stay the ones that it was made for.
        if let steps, steps != timesteps.count || method != nil {
            options.timesteps =
                options.method.flowMethod != nil
                ? try FlowMap(isClamped: false).timesteps(count: steps)
                : try Timesteps(count: steps)
        }
        if let guidance { options.guidance = guidance }
        return options
    }
}
