public import TensorCore

/// Samples by following a velocity field from noise to data, in as many steps as wanted.
///
/// The straighter the field, the fewer steps do: one for a stage that was distilled to it. Along the
/// field of a network that predicts noise, Euler's steps are those of DDIM (Song et al., 2021).
public struct FlowSampler: LatentSampler {
    /// The latents that the next step starts from, in the flow's variables; after the last step the
    /// clean latents as the stage makes them.
    public private(set) var latent: Tensor
    /// The source of random numbers: after the start nothing is drawn from it.
    public let noise: any NoiseSource
    private let field: FlowField
    private let flowTimes: [Double]
    private let usesBothEnds: Bool
    private var index = 0

    /// A sampler before its first step.
    ///
    /// - Parameters:
    ///   - field: The velocity field.
    ///   - timesteps: Where to stop on the way, as times of diffusion's; the last step leads to clean
    ///     latents if it ends at 0.
    ///   - method: ``SamplingMethod/heun``, or Euler's method.
    ///   - initial: Unit noise `[batch, height, width, channels]`, or latents of diffusion's at the first
    ///     of the times.
    ///   - noise: The source of random numbers, for whoever goes on after the last step.
    public init(
        _ field: FlowField, timesteps: Timesteps, method: SamplingMethod = .euler,
        initial: Tensor, noise: any NoiseSource
    ) {
        self.field = field
        self.noise = noise
        usesBothEnds = method == .heun
        let points = timesteps.times.map { field.map.point(time: $0) }
        let isWhole = timesteps.times.last == 0
        flowTimes = points.dropLast().map(\.flowTime) + [isWhole ? 1 : points.last?.flowTime ?? 1]
        latent = field.map.flowState(initial, at: field.map.point(time: timesteps.times[0]))
    }

    /// The number of steps.
    public var count: Int { flowTimes.count - 1 }

    /// Takes the next step.
    public mutating func next() throws -> SamplingStep? {
        guard index < count else { return nil }
        try Task.checkCancellation()
        let (here, there) = (flowTimes[index], flowTimes[index + 1])
        let seen = try field.checked(latent, at: here, step: index, of: count)
        if there == 1 {
            latent = field.latent(seen.clean)
        } else {
            var velocity = seen.velocity
            let width = Float(there - here)
            if usesBothEnds {
                let end = Tensor.combine(1, latent, width, velocity)
                let other = try field.checked(end, at: there, step: index, of: count)
                velocity = Tensor.combine(0.5, velocity, 0.5, other.velocity)
            }
            latent = Tensor.combine(1, latent, width, velocity)
        }
        defer { index += 1 }
        return SamplingStep(
            index: index, count: count, latent: latent, predictedClean: field.latent(seen.clean),
            predictedNoise: seen.noise)
    }
}
