private import Foundation
public import TensorCore

/// The cosine noise schedule (Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic
/// Models", 2021) over a continuous time from 0, clean, to 1, noise.
///
/// `x(t) = √ᾱ(t) · clean + √(1 − ᾱ(t)) · noise`
public struct NoiseSchedule: Sendable, Hashable {
    /// How far the cosine starts from its peak; 0.008 as published (`s`).
    public var offset: Double
    /// How time is bent: 1 as published (`scaler`), more for more noise early, less for less.
    public var scaler: Double

    /// A schedule of the given numbers; the published ones by default.
    public init(offset: Double = 0.008, scaler: Double = 1) {
        self.offset = offset
        self.scaler = scaler
    }

    /// ᾱ: the share of the clean latent in the variance at a time, within 0.0001…0.9999.
    ///
    /// In the reference's precision and order: near both ends of time the rounding shows in what a
    /// step does.
    public func alphaBar(at time: Float) -> Float {
        var t = time
        if scaler > 1 {
            t = 1 - pow(1 - t, Float(scaler))
        } else if scaler < 1 {
            t = pow(t, Float(scaler))
        }
        let offset = Float(offset)
        func squaredCosine(_ x: Float) -> Float {
            let angle = x / (1 + offset) * Float.pi * 0.5
            let cosine = Float(cos(Double(angle)))
            return cosine * cosine
        }
        return min(max(squaredCosine(t + offset) / squaredCosine(offset), 0.0001), 0.9999)
    }

    /// Clean latents with noise added (Ho et al., 2020): `√ᾱ(t) · clean + √(1 − ᾱ(t)) · noise`.
    ///
    /// - Parameters:
    ///   - clean: `[batch, height, width, channels]`; gradients reach it.
    ///   - noise: Standard normal numbers of the same shape.
    ///   - times: A time for each sample, 0 for clean to 1 for noise.
    /// - Returns: What a network that predicts noise is given at these times.
    public func noised(_ clean: Tensor, with noise: Tensor, at times: [Float]) -> Tensor {
        let alphaBars = times.map { alphaBar(at: $0) }
        return clean.scaled(bySample: alphaBars.map { $0.squareRoot() })
            + noise.scaled(bySample: alphaBars.map { (1 - $0).squareRoot() })
    }

    /// The same at one time for all samples.
    public func noised(_ clean: Tensor, with noise: Tensor, at time: Float) -> Tensor {
        noised(clean, with: noise, at: [Float](repeating: time, count: clean.shape[0]))
    }

    func validate() throws {
        guard offset.isFinite, offset >= 0, offset < 10, scaler.isFinite, scaler > 0 else {
            throw WuerstchenError(
                .invalidConfiguration,
                "the scheduler's s is \(offset) and its scaler \(scaler); s must be at least 0 and "
                    + "the scaler positive")
        }
    }
}
