/// How a stage that predicts noise is best sampled, where that is not as the published ones are: in
/// its `config.json`, under `sampling`.
///
/// Other programs pass over it, and sample with what they are told.
public struct SamplingConfiguration: Sendable, Hashable, Codable {
    /// How a latent gets from one time to the next.
    public var method: SamplingMethod
    /// The number of steps, 1 to 1000: equal in time for ``SamplingMethod/ddpm`` and
    /// ``SamplingMethod/ddim``, equal along the flow's time for the other methods.
    public var steps: Int
    /// The weight of classifier-free guidance; up to 1 there is none.
    public var guidance: Float

    /// Sampling of the given kind.
    public init(_ method: SamplingMethod, steps: Int, guidance: Float = 0) {
        self.method = method
        self.steps = steps
        self.guidance = guidance
    }

    /// Decodes the field of a configuration. Without `guidance` there is none.
    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        method = try fields.decode(SamplingMethod.self, forKey: .method)
        steps = try fields.decode(Int.self, forKey: .steps)
        guidance = try fields.decodeIfPresent(Float.self, forKey: .guidance) ?? 0
    }

    func validate() throws {
        guard (1...1000).contains(steps), guidance.isFinite, abs(guidance) <= 1000 else {
            throw WuerstchenError(
                .invalidConfiguration,
                "sampling has steps \(steps) and guidance \(guidance); there must be 1 to 1000 steps "
                    + "and guidance of ordinary size, such as 4")
        }
    }

    func options(_ schedule: NoiseSchedule) -> SamplingOptions {
        let map = FlowMap(schedule: schedule, isClamped: true)
        return SamplingOptions(
            timesteps: method.equalTimesteps(steps, along: map), guidance: guidance, method: method)
    }
}

/// Checks what a configuration says about how its stage is sampled, which a flow says itself.
///
/// - Throws: ``WuerstchenError`` with code `invalidConfiguration`.
func requireSampling(_ flow: FlowConfiguration?, _ sampling: SamplingConfiguration?) throws {
    try flow?.validate()
    try sampling?.validate()
    guard flow == nil || sampling == nil else {
        throw WuerstchenError(
            .invalidConfiguration,
            "flow and sampling are both there; a flow says itself how it is sampled, so take "
                + "sampling out")
    }
}
