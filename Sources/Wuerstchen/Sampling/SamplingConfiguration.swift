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
    /// The times, within 0…1, at which there is guidance; see ``SamplingOptions/guidanceInterval``.
    public var guidanceInterval: ClosedRange<Float>

    enum CodingKeys: String, CodingKey {
        case method, steps, guidance
        case guidanceInterval = "guidance_interval"
    }

    /// Sampling of the given kind.
    public init(
        _ method: SamplingMethod, steps: Int, guidance: Float = 0,
        guidanceInterval: ClosedRange<Float> = 0...1
    ) {
        self.method = method
        self.steps = steps
        self.guidance = guidance
        self.guidanceInterval = guidanceInterval
    }

    /// Decodes the field of a configuration. Without `guidance` there is none; without
    /// `guidance_interval` there is at all times.
    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        method = try fields.decode(SamplingMethod.self, forKey: .method)
        steps = try fields.decode(Int.self, forKey: .steps)
        guidance = try fields.decodeIfPresent(Float.self, forKey: .guidance) ?? 0
        guidanceInterval =
            try fields.decodeIfPresent(ClosedRange<Float>.self, forKey: .guidanceInterval) ?? 0...1
    }

    /// Encodes the field of a configuration, without an interval that is everything.
    public func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: CodingKeys.self)
        try fields.encode(method, forKey: .method)
        try fields.encode(steps, forKey: .steps)
        try fields.encode(guidance, forKey: .guidance)
        if guidanceInterval != 0...1 {
            try fields.encode(guidanceInterval, forKey: .guidanceInterval)
        }
    }

    func validate() throws {
        guard (1...1000).contains(steps), guidance.isFinite, abs(guidance) <= 1000 else {
            throw WuerstchenError(
                .invalidConfiguration,
                "sampling has steps \(steps) and guidance \(guidance); there must be 1 to 1000 steps "
                    + "and guidance of ordinary size, such as 4")
        }
        guard guidanceInterval.lowerBound >= 0, guidanceInterval.upperBound <= 1 else {
            throw WuerstchenError(
                .invalidConfiguration,
                "sampling has a guidance_interval of \(guidanceInterval.lowerBound) to "
                    + "\(guidanceInterval.upperBound); these are times between 0, clean, and 1, noise"
            )
        }
    }

    func options(_ schedule: NoiseSchedule) -> SamplingOptions {
        let map = FlowMap(schedule: schedule, isClamped: true)
        var options = SamplingOptions(
            timesteps: method.equalTimesteps(steps, along: map), guidance: guidance, method: method)
        options.guidanceInterval = guidanceInterval
        return options
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
