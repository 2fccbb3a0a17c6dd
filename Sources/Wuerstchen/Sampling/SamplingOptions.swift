internal import TensorCore

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

    /// Whether there is guidance: conditioning then covers twice the batch.
    public var isGuided: Bool { SamplingOptions.isGuided(by: guidance) }

    /// Whether a weight of guidance needs the unconditional prediction too: up to 1 it does not.
    package static func isGuided(by guidance: Float) -> Bool { guidance > 1 }

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
        return isGuided(by: guidance) ? guidance : nil
    }
}
