public import Wuerstchen

extension Cascade {
    /// How Stage C samples with what a command was told to change; nil if that was nothing, so that
    /// it samples as it was made to.
    public func stageCSampling(
        steps: Int?, guidance: Float? = nil, method: SamplingMethod? = nil
    ) throws -> SamplingOptions? {
        try stageC.description().sampling(steps: steps, guidance: guidance, method: method)
    }

    /// The same of Stage B; nil for a decoder without.
    public func stageBSampling(
        steps: Int?, guidance: Float? = nil, method: SamplingMethod? = nil
    ) throws -> SamplingOptions? {
        guard let decoder = decoder as? DiffusionDecoder else { return nil }
        return try decoder.stageB.description().sampling(
            steps: steps, guidance: guidance, method: method)
    }
}
