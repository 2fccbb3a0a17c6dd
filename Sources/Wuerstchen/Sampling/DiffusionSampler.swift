public import TensorCore

/// Samples by diffusion: removes noise step by step, ancestrally or on the deterministic path.
public struct DiffusionSampler: Sampler {
    /// The latents that the next step starts from.
    public private(set) var latent: Tensor
    /// The source of random numbers, for whatever goes on after the last step.
    public private(set) var noise: any NoiseSource
    private let schedule: NoiseSchedule
    private let options: SamplingOptions
    private let denoiser: GuidedDenoiser
    private let kept: KeptLatents?
    private var index = 0

    package init(
        stage: String, schedule: NoiseSchedule, options: SamplingOptions, initial: Tensor,
        noise: any NoiseSource, denoiser: @escaping GuidedDenoiser.Network
    ) throws {
        try self.init(
            GuidedDenoiser(stage, guidance: try Guidance(options), denoiser), schedule: schedule,
            options: options, initial: initial, kept: nil, noise: noise)
    }

    init(
        _ denoiser: GuidedDenoiser, schedule: NoiseSchedule, options: SamplingOptions,
        initial: Tensor, kept: KeptLatents?, noise: any NoiseSource
    ) throws {
        try options.validate()
        self.schedule = schedule
        self.options = options
        self.noise = noise
        self.denoiser = denoiser
        self.kept = kept
        latent = initial
    }

    /// The number of steps.
    public var count: Int { options.timesteps.count }

    /// Takes the next step.
    public mutating func next() throws -> SamplingStep? {
        guard index < count else { return nil }
        try Task.checkCancellation()
        let time = options.timesteps.times[index]
        let nextTime = options.timesteps.times[index + 1]
        let predicted = try denoiser(
            latent, [Float](repeating: time, count: latent.shape[0]))
        try denoiser.require(predicted, "step \(index + 1) of \(count)")
        let alphaBar = schedule.alphaBar(at: time)
        let nextAlphaBar = schedule.alphaBar(at: nextTime)
        let clean = Tensor.combine(
            1 / alphaBar.squareRoot(), latent,
            -(1 - alphaBar).squareRoot() / alphaBar.squareRoot(),
            predicted)
        switch options.method {
        case .ddpm:
            let coefficients = AncestralStep(
                alphaBar: alphaBar, nextAlphaBar: nextAlphaBar, isLast: nextTime == 0)
            var moved = Tensor.combine(
                coefficients.factor, latent, -coefficients.factor * coefficients.noiseShare,
                predicted)
            let shape = latent.shape
            // Drawn in the last step too, where it has no weight: PyTorch's generator moves on.
            let fresh = noise.next(
                batch: shape[0], height: shape[1], width: shape[2], channels: shape[3])
            if coefficients.deviation > 0 {
                moved = Tensor.combine(1, moved, coefficients.deviation, fresh)
            }
            latent = moved
        // The other steps are a flow's, which has a sampler of its own.
        case .ddim, .euler, .heun, .dpmpp2M:
            latent = Tensor.combine(
                nextAlphaBar.squareRoot(), clean, (1 - nextAlphaBar).squareRoot(), predicted)
        }
        if options.endsClean, nextTime == 0 { latent = clean }
        if let kept {
            latent = kept.replacing(
                latent, at: nextTime, signal: nextTime == 0 ? 1 : nextAlphaBar.squareRoot(),
                deviation: nextTime == 0 ? 0 : (1 - nextAlphaBar).squareRoot())
        }
        defer { index += 1 }
        return SamplingStep(
            index: index, count: count, latent: latent, predictedClean: clean,
            predictedNoise: predicted)
    }
}

/// `next = factor · (x − noiseShare · predicted) + deviation · fresh noise`, one step of ancestral
/// sampling.
package struct AncestralStep: Sendable {
    package let factor: Float
    package let noiseShare: Float
    package let deviation: Float

    /// - Parameters:
    ///   - alphaBar: ᾱ where the step starts.
    ///   - nextAlphaBar: ᾱ where it ends.
    ///   - isLast: Whether it ends at time 0, where no noise is added.
    package init(alphaBar: Float, nextAlphaBar: Float, isLast: Bool) {
        let alpha = alphaBar / nextAlphaBar
        factor = (1 / alpha).squareRoot()
        noiseShare = (1 - alpha) / (1 - alphaBar).squareRoot()
        deviation = isLast ? 0 : ((1 - alpha) * (1 - nextAlphaBar) / (1 - alphaBar)).squareRoot()
    }
}
