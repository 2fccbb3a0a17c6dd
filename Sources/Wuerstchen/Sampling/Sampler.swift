public import TensorCore

/// How a latent gets from one time to the next.
public enum SamplingMethod: String, Sendable, Hashable, CaseIterable {
    /// Ancestral sampling with fresh noise at each step (Ho et al., "Denoising Diffusion
    /// Probabilistic Models", 2020), as published.
    case ddpm
    /// The deterministic path (Song et al., "Denoising Diffusion Implicit Models", 2021).
    case ddim
    /// Straight steps along the velocity field in a flow's variables; see ``FlowSampler``. For
    /// networks that predict noise the same as ``ddim``, but for the last step, which ends at clean
    /// latents.
    case euler
    /// Steps along the mean of the velocities at both ends (Heun's method): twice the work and an
    /// error of second order.
    case heun
}

/// How a stage samples.
public struct SamplingOptions: Sendable, Hashable {
    /// When to denoise.
    public var timesteps: Timesteps
    /// The weight of classifier-free guidance (Ho and Salimans, 2022): how far the prediction is
    /// moved from the negative prompt's beyond the prompt's. Up to 1 there is none, and its second
    /// pass is left out.
    public var guidance: Float
    /// How a latent gets from one time to the next.
    public var method: SamplingMethod

    /// Options of the given values.
    public init(timesteps: Timesteps, guidance: Float, method: SamplingMethod = .ddpm) {
        self.timesteps = timesteps
        self.guidance = guidance
        self.method = method
    }

    /// What Stage C was published with: 60 equal steps under guidance 4.
    public static let stageC = SamplingOptions(timesteps: .equal60, guidance: 4)
    /// What Stage B was published with: 12 equal steps without guidance.
    public static let stageB = SamplingOptions(timesteps: .equal12, guidance: 0)

    var isGuided: Bool { guidance > 1 }

    func validate() throws { _ = try SamplingOptions.weight(guidance) }

    /// The weight of guidance; nil for none.
    ///
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` for what is no number of ordinary
    ///   size.
    static func weight(_ guidance: Float) throws -> Float? {
        guard guidance.isFinite, abs(guidance) <= 1000 else {
            throw WuerstchenError(
                .invalidRequest,
                "guidance is \(guidance); it must be a number of ordinary size, such as 4")
        }
        return guidance > 1 ? guidance : nil
    }
}

/// Turns noise into latents step by step, on demand.
///
/// Samplers are values: a copy goes on from where the original is, independently of it.
public protocol LatentSampler: Sendable {
    /// The latents that the next step starts from; after the last one, the result.
    var latent: Tensor { get }
    /// The source of random numbers, for whatever goes on after the last step.
    var noise: any NoiseSource { get }
    /// The number of steps.
    var count: Int { get }

    /// Takes the next step.
    ///
    /// - Returns: The step, or nil when all have been taken.
    /// - Throws: `CancellationError` between blocks of the network when the task is cancelled, or
    ///   ``WuerstchenError`` with code `notFinite` that names the stage.
    mutating func next() throws -> SamplingStep?
}

/// What a step of a sampler leads to.
public struct SamplingStep: Sendable {
    /// The step's number, from 0.
    public let index: Int
    /// The number of steps.
    public let count: Int
    /// The latents after the step, `[batch, height, width, channels]`.
    public let latent: Tensor
    /// What the network now takes the clean latents to be: what a preview should show.
    public let predictedClean: Tensor
    /// The noise that was predicted, after guidance.
    public let predictedNoise: Tensor
}

/// A network as a function of noisy latents, with its conditioning and under guidance.
package struct GuidedDenoiser: Sendable {
    /// Predicts the noise (or velocity) in latents at a time, given for each. Under guidance the
    /// latents come twice, first to be seen with the prompts, then with the negative prompts.
    package typealias Network = @Sendable (_ latents: Tensor, _ times: [Float]) throws -> Tensor

    private let stage: String
    private let guidance: Float?
    private let network: Network

    /// - Parameters:
    ///   - stage: The stage, for messages.
    ///   - guidance: The weight of guidance; nil for none.
    ///   - network: The network.
    package init(_ stage: String, guidance: Float?, _ network: @escaping Network) {
        self.stage = stage
        self.guidance = guidance
        self.network = network
    }

    /// The prediction, moved away from the unconditional one by classifier-free guidance:
    /// `unconditional + weight · (conditional − unconditional)`.
    package func callAsFunction(_ latent: Tensor, _ times: [Float]) throws -> Tensor {
        guard let guidance else { return try network(latent, times) }
        let batch = latent.shape[0]
        let both = try network(Tensor.concatenating([latent, latent]), times + times)
        return Tensor.combine(
            guidance, both[0..<batch], 1 - guidance, both[batch..<2 * batch])
    }

    /// Refuses a prediction that is not a number; `place` says where that is.
    package func require(_ predicted: Tensor, _ place: @autoclosure () -> String) throws {
        guard predicted.isFinite else {
            throw WuerstchenError(
                .notFinite,
                "\(stage) predicted what is not a number in \(place()); its weights are damaged or "
                    + "the guidance is too strong")
        }
    }
}

/// Samples by diffusion: removes noise step by step, ancestrally or on the deterministic path.
public struct Sampler: LatentSampler {
    /// The latents that the next step starts from.
    public private(set) var latent: Tensor
    /// The source of random numbers, for whatever goes on after the last step.
    public private(set) var noise: any NoiseSource
    private let schedule: NoiseSchedule
    private let options: SamplingOptions
    private let denoiser: GuidedDenoiser
    private var index = 0

    package init(
        stage: String, schedule: NoiseSchedule, options: SamplingOptions, initial: Tensor,
        noise: any NoiseSource, denoiser: @escaping GuidedDenoiser.Network
    ) throws {
        try options.validate()
        self.schedule = schedule
        self.options = options
        self.noise = noise
        self.denoiser = GuidedDenoiser(
            stage, guidance: try SamplingOptions.weight(options.guidance), denoiser)
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
        let share = schedule.alphaBar(at: time)
        let nextAlphaBar = schedule.alphaBar(at: nextTime)
        let clean = Tensor.combine(
            1 / share.squareRoot(), latent, -(1 - share).squareRoot() / share.squareRoot(),
            predicted)
        if options.method == .ddpm {
            let coefficients = AncestralStep(
                share: share, nextAlphaBar: nextAlphaBar, isLast: nextTime == 0)
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
        } else {
            latent = Tensor.combine(
                nextAlphaBar.squareRoot(), clean, (1 - nextAlphaBar).squareRoot(), predicted)
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
    ///   - share: ᾱ where the step starts.
    ///   - nextAlphaBar: ᾱ where it ends.
    ///   - isLast: Whether it ends at time 0, where no noise is added.
    package init(share: Float, nextAlphaBar: Float, isLast: Bool) {
        let alpha = share / nextAlphaBar
        factor = (1 / alpha).squareRoot()
        noiseShare = (1 - alpha) / (1 - share).squareRoot()
        deviation = isLast ? 0 : ((1 - alpha) * (1 - nextAlphaBar) / (1 - share)).squareRoot()
    }
}
