public import TensorCore

/// Samples by following a velocity field from noise to data, in as many steps as wanted.
///
/// The straighter the field, the fewer steps do: one for a stage that was distilled to it. Along
/// the field of a network that predicts noise, Euler's steps are those of DDIM (Song et al., 2021).
public struct FlowSampler: Sampler {
    /// Before and between steps the flow's latents y; after the last step latents of the stage's:
    /// clean ones, or, where the times do not end at 0, diffusion's at the last time.
    public private(set) var latent: Tensor
    /// The source of random numbers: after the start nothing is drawn from it.
    public let noise: any NoiseSource
    private let field: FlowField
    private let points: [FlowMap.Point]
    private let endsClean: Bool
    private let solver: FlowSolver
    private var index = 0

    /// A sampler before its first step.
    ///
    /// - Parameters:
    ///   - field: The velocity field.
    ///   - timesteps: Where to stop on the way, as times of diffusion's; the last step leads to
    ///     clean latents if it ends at 0.
    ///   - solver: How to step.
    ///   - initial: Unit noise `[batch, height, width, channels]`, or latents of diffusion's at the
    ///     first of the times.
    ///   - noise: The source of random numbers, for whoever goes on after the last step.
    public init(
        _ field: FlowField, timesteps: Timesteps, solver: FlowSolver = .euler,
        initial: Tensor, noise: any NoiseSource
    ) {
        self.field = field
        self.noise = noise
        self.solver = solver
        points = timesteps.times.map { field.map.point(time: $0) }
        endsClean = timesteps.times.last == 0
        latent = field.map.flowState(initial, at: points[0])
    }

    /// The number of steps.
    public var count: Int { points.count - 1 }

    /// How often all steps together evaluate the field: a step to clean latents is Euler's in any
    /// case.
    public var evaluations: Int {
        solver == .euler ? count : 2 * count - (endsClean ? 1 : 0)
    }

    /// Takes the next step.
    public mutating func next() throws -> SamplingStep? {
        guard index < count else { return nil }
        try Task.checkCancellation()
        let (here, there) = (points[index].flowTime, points[index + 1].flowTime)
        let isLast = index == count - 1
        let place = "step \(index + 1) of \(count)"
        let seen = try field.checked(latent, at: here, place)
        if isLast, endsClean {
            latent = field.map.latents(seen.clean)
        } else {
            var velocity = seen.velocity
            let width = Float(there - here)
            if solver == .heun {
                let end = Tensor.combine(1, latent, width, velocity)
                let other = try field.checked(end, at: there, place)
                velocity = Tensor.combine(0.5, velocity, 0.5, other.velocity)
            }
            latent = Tensor.combine(1, latent, width, velocity)
            if isLast { latent = field.map.diffusionState(latent, at: points[count]) }
        }
        defer { index += 1 }
        return SamplingStep(
            index: index, count: count, latent: latent,
            predictedClean: field.map.latents(seen.clean), predictedNoise: seen.noise)
    }
}
