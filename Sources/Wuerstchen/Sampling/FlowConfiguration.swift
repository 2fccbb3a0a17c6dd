internal import TensorCore

/// What a stage that is a rectified flow carries in its `config.json`, under `flow`: its network
/// predicts velocities `u − ε`, or clean latents, instead of noise, and this is how it wants to be
/// sampled.
///
/// Loading such a stage picks its sampler; see ``DiffusionStage/defaultSampling``.
public struct FlowConfiguration: Sendable, Hashable, Codable {
    /// The number of steps that it was distilled to; nil for a flow that takes any number.
    public var steps: Int?
    /// The number of equal windows of time in each of which the flow is straight, for one that is
    /// sampled in a multiple of so many steps; nil for others.
    public var windows: Int?
    /// What the network predicts: the velocity, or the clean latent, which a student of one step
    /// has no input to subtract from.
    public var prediction = PredictionKind.velocity
    /// The weight of the guidance that is distilled into the network, which needs no second,
    /// unconditional pass for it; 1 for none.
    public var guidance: Float
    /// The mean of clean latents, which the flow's are relative to.
    public var mean: Double
    /// The standard deviation of clean latents.
    public var deviation: Double

    enum CodingKeys: String, CodingKey {
        case steps, windows, prediction
        case guidance = "baked_guidance"
        case mean = "latent_mean"
        case deviation = "latent_deviation"
    }

    /// Decodes the field of a configuration. Fields that are absent keep their defaults.
    public init(from decoder: any Decoder) throws {
        self.init()
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        steps = try fields.decodeIfPresent(Int.self, forKey: .steps)
        windows = try fields.decodeIfPresent(Int.self, forKey: .windows)
        try fields.update(&prediction, .prediction)
        try fields.update(&guidance, .guidance)
        try fields.update(&mean, .mean)
        try fields.update(&deviation, .deviation)
    }

    /// Encodes the field, without what is as usual.
    public func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: CodingKeys.self)
        try fields.encodeIfPresent(steps, forKey: .steps)
        try fields.encodeIfPresent(windows, forKey: .windows)
        if prediction != .velocity { try fields.encode(prediction, forKey: .prediction) }
        try fields.encode(guidance, forKey: .guidance)
        try fields.encode(mean, forKey: .mean)
        try fields.encode(deviation, forKey: .deviation)
    }

    /// A flow of the given properties, whose network predicts the velocity.
    public init(steps: Int? = nil, guidance: Float = 1, mean: Double = 0, deviation: Double = 1) {
        self.steps = steps
        self.guidance = guidance
        self.mean = mean
        self.deviation = deviation
    }

    func map(_ schedule: NoiseSchedule) -> FlowMap {
        FlowMap(schedule: schedule, mean: mean, deviation: deviation, isClamped: false)
    }

    func validate() throws {
        guard prediction != .noise else {
            throw WuerstchenError(
                .invalidConfiguration,
                "flow has the prediction noise; a flow's network predicts velocity or clean")
        }
        guard steps == nil || windows == nil, windows.map({ (1...1000).contains($0) }) ?? true
        else {
            throw WuerstchenError(
                .invalidConfiguration,
                "flow has steps \(steps.map { "\($0)" } ?? "any") and windows \(windows ?? 0); it can "
                    + "have one of the two, and 1 to 1000 windows")
        }
        guard steps.map({ (1...10_000).contains($0) }) ?? true, guidance.isFinite,
            abs(guidance) <= 1000, abs(mean) <= 1000, (0.001...1000).contains(deviation)
        else {
            throw WuerstchenError(
                .invalidConfiguration,
                "flow has steps \(steps.map { "\($0)" } ?? "any"), baked_guidance \(guidance), "
                    + "latent_mean \(mean) and latent_deviation \(deviation); steps must be at "
                    + "least 1, the deviation from 0.001 to 1000 and all of ordinary size")
        }
    }

    /// A number of steps in words, for messages.
    package static func words(steps: Int) -> String {
        steps == 1 ? "one step" : "\(steps) steps"
    }

    /// How to sample: the steps that it was made for, one for each window, or eight.
    func sampling(_ schedule: NoiseSchedule) -> SamplingOptions {
        sampling(schedule, steps: steps ?? windows ?? 8)
    }

    private func sampling(_ schedule: NoiseSchedule, steps: Int) -> SamplingOptions {
        SamplingOptions(
            timesteps: map(schedule).equalTimesteps(steps), guidance: 0, method: .euler)
    }

    /// Refuses what would give images that the network was not made for.
    func validate(_ options: SamplingOptions, _ schedule: NoiseSchedule, _ stage: String) throws {
        guard options.method.solver != nil else {
            throw WuerstchenError(
                .invalidRequest,
                "this \(stage) predicts a flow's velocity and is sampled along it (euler, heun or "
                    + "dpmpp-2m), not by \(options.method.rawValue); leave its sampling options out, "
                    + "or take one that is no flow")
        }
        if let windows { return try validate(options, schedule, stage, windows) }
        guard let steps else { return }
        let standard = sampling(schedule)
        guard options.timesteps == standard.timesteps, options.method == .euler,
            !options.isGuided
        else {
            throw WuerstchenError(
                .invalidRequest,
                "this \(stage) was distilled to \(FlowConfiguration.words(steps: steps)) "
                    + "without guidance and does nothing else; leave its sampling options out, or "
                    + "take one that was not distilled")
        }
    }

    /// The same for a flow of windows, none of which a step may cross the end of.
    private func validate(
        _ options: SamplingOptions, _ schedule: NoiseSchedule, _ stage: String, _ windows: Int
    ) throws {
        let count = options.timesteps.count
        guard count.isMultiple(of: windows), !options.isGuided,
            options.timesteps == sampling(schedule, steps: count).timesteps
        else {
            throw WuerstchenError(
                .invalidRequest,
                "this \(stage) is straight in each of \(windows) windows: it takes "
                    + (1...3).map { "\($0 * windows)" }.joined(separator: ", ")
                    + " or another multiple of \(windows) equal steps without guidance, not \(count)"
            )
        }
    }
}
