private import Foundation
public import TensorCore
public import Wuerstchen

/// How the errors at different noise levels are weighted when a stage learns to predict noise.
public enum NoiseWeighting: String, Sendable, Hashable, CaseIterable, Codable {
    /// 1 − ᾱ (Choi et al., "Perception Prioritized Training of Diffusion Models", 2022, with k = γ
    /// = 1), as the stages were published with.
    case p2
    /// (1 − ᾱ) / max(ᾱ, 0.002): the same weight for errors of the clean latent at every noise level
    /// but the last three in a hundred, which would drown all others. It is at the highest levels
    /// that a text decides what is where; further down the latent itself shows it.
    case clean
    /// min(1 / ᾱ, 25): between the two.
    case inverseSignal
    /// (1 − ᾱ) / ᾱ: the mean squared error of the clean latent itself.
    case cleanError

    /// The weight of the mean squared error of the noise where ᾱ is `share`.
    public func callAsFunction(_ share: Float) -> Float {
        switch self {
        case .p2: 1 - share
        case .clean: (1 - share) / max(share, 0.002)
        case .inverseSignal: min(1 / share, 25)
        case .cleanError: (1 - share) / share
        }
    }
}

/// Latents with noise of random strengths.
public struct NoisyLatents: Sendable {
    /// What was added, standard normal.
    public let noise: Tensor
    /// `√ᾱ · clean + √(1 − ᾱ) · noise`
    public let latents: Tensor
    /// Each sample's time, 0 for clean to 1 for noise.
    public let times: [Float]
    /// Each sample's ᾱ.
    public let alphaBars: [Float]

    /// Noises latents.
    ///
    /// - Parameters:
    ///   - clean: `[batch, height, width, channels]`; gradients reach it.
    ///   - times: A time for each sample.
    ///   - schedule: How noise grows with time.
    ///   - random: The source of noise.
    public init(
        _ clean: Tensor, times: [Float], schedule: NoiseSchedule, random: inout RandomStream
    ) {
        self.times = times
        alphaBars = times.map { schedule.alphaBar(at: $0) }
        noise = random.normal(clean.shape)
        latents = schedule.noised(clean, with: noise, at: times)
    }

    /// The clean latents that a prediction of the noise implies.
    public func clean(_ predicted: Tensor) -> Tensor {
        latents.scaled(bySample: alphaBars.map { 1 / $0.squareRoot() })
            - predicted.scaled(bySample: alphaBars.map { ((1 - $0) / $0).squareRoot() })
    }

    /// The weighted mean squared error of a prediction of the noise.
    public func loss(_ predicted: Tensor, _ weighting: NoiseWeighting) -> Tensor {
        (predicted - noise).meanSquare(weights: alphaBars.map { weighting($0) })
    }
}

/// How often each time, and with it each noise level, is learnt.
public struct TimeDistribution: Sendable, Hashable {
    /// The share of times from 0.8…1, where a text decides what is where. A large network sees
    /// enough of them anyway; a small one on few images hardly learns left from right without.
    public var highNoiseShare: Float = 0

    /// Times as the stages were published with: `clamp(1.08 · (1 − U) + 0.001, 0.001, 1)`.
    public init() {}

    /// Times as published, but for a share of 0.8…1.
    public init(highNoiseShare: Float) {
        self.highNoiseShare = highNoiseShare
    }

    /// Times for some samples, spread over the distribution.
    public func draw(_ count: Int, _ random: inout RandomStream) -> [Float] {
        random.spread(count).map { number in
            if number < highNoiseShare { return 0.8 + 0.2 * number / highNoiseShare }
            let rest = (number - highNoiseShare) / (1 - highNoiseShare)
            return min(max(1.08 * (1 - rest) + 0.001, 0.001), 1)
        }
    }
}
