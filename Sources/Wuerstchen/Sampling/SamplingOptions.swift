internal import TensorCore

/// How a latent gets from one time to the next.
public enum SamplingMethod: String, Sendable, Hashable, CaseIterable, Codable {
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
    /// Steps along a line through the clean latents of this step and the last (DPM-Solver++(2M),
    /// Lu et al., 2022): one pass a step and an error of second order.
    case dpmpp2M = "dpmpp-2m"
}

/// How a stage samples.
public struct SamplingOptions: Sendable, Hashable, Codable {
    /// When to denoise.
    public var timesteps: Timesteps
    /// The weight of classifier-free guidance (Ho and Salimans, 2022): how far the prediction is
    /// moved from the negative prompt's beyond the prompt's. Up to 1 there is none, and its second
    /// pass is left out.
    public var guidance: Float
    /// How a latent gets from one time to the next.
    public var method: SamplingMethod
    /// The times, within 0…1, at which there is guidance. At others its second pass is left out
    /// (Kynkäänniemi et al., "Applying Guidance in a Limited Interval", 2024).
    public var guidanceInterval: ClosedRange<Float> = 0...1
    /// How far a guided prediction is scaled to the deviation of the prompt's, from 0, not at all,
    /// to 1: less glaring under strong guidance (Lin et al., "Common Diffusion Noise Schedules and
    /// Sample Steps Are Flawed", 2024).
    public var guidanceRescale: Float = 0
    /// Whether the last step of ``SamplingMethod/ddpm`` and ``SamplingMethod/ddim`` gives the clean
    /// latents that it predicts, rather than leave the trace of noise that the published schedule
    /// does. The other methods do so in any case.
    public var endsClean = false

    enum CodingKeys: String, CodingKey {
        case timesteps, guidance, method
        case guidanceInterval = "guidance_interval"
        case guidanceRescale = "guidance_rescale"
        case endsClean = "ends_clean"
    }

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

    /// Whether there is guidance: conditioning then covers twice the batch.
    public var isGuided: Bool { SamplingOptions.isGuided(by: guidance) }

    /// Whether some steps are guided and others are not.
    var isPartlyGuided: Bool {
        isGuided
            && !timesteps.times.dropLast().allSatisfy { guidanceInterval.contains($0) }
    }

    /// Whether a weight of guidance needs the unconditional prediction too: up to 1 it does not.
    package static func isGuided(by guidance: Float) -> Bool { guidance > 1 }

    func validate() throws {
        _ = try Guidance(self)
        guard guidanceInterval.lowerBound >= 0, guidanceInterval.upperBound <= 1 else {
            throw WuerstchenError(
                .invalidRequest,
                "guidance from \(guidanceInterval.lowerBound) to \(guidanceInterval.upperBound); "
                    + "these are times between 0, clean, and 1, noise")
        }
        guard (0...1).contains(guidanceRescale) else {
            throw WuerstchenError(
                .invalidRequest,
                "guidance is rescaled by \(guidanceRescale); that is a share from 0 to 1")
        }
    }
}

/// Classifier-free guidance in numbers.
package struct Guidance: Sendable {
    /// The weight; nil for none.
    package let weight: Float?
    /// The times at which it counts.
    package var interval: ClosedRange<Float> = 0...1
    /// How far predictions are scaled to the deviation of the prompt's.
    package var rescale: Float = 0

    /// Guidance of a weight at all times.
    ///
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` for what is no number of ordinary
    ///   size.
    package init(weight: Float) throws {
        guard weight.isFinite, abs(weight) <= 1000 else {
            throw WuerstchenError(
                .invalidRequest,
                "guidance is \(weight); it must be a number of ordinary size, such as 4")
        }
        self.weight = SamplingOptions.isGuided(by: weight) ? weight : nil
    }

    /// The guidance of some options.
    init(_ options: SamplingOptions) throws {
        try self.init(weight: options.guidance)
        interval = options.guidanceInterval
        rescale = options.guidanceRescale
    }
}
