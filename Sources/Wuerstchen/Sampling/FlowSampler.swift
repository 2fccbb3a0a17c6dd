private import Foundation
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
    private let kept: KeptLatents?
    private var index = 0
    /// The last step's clean latents and where it began.
    private var previous: (clean: Tensor, flowTime: Double)?

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
        self.init(
            field, timesteps: timesteps, solver: solver, initial: initial, kept: nil, noise: noise)
    }

    init(
        _ field: FlowField, timesteps: Timesteps, solver: FlowSolver, initial: Tensor,
        kept: KeptLatents?, noise: any NoiseSource
    ) {
        self.field = field
        self.noise = noise
        self.solver = solver
        self.kept = kept
        points = timesteps.times.map { field.map.point(time: $0) }
        endsClean = timesteps.times.last == 0
        latent = field.map.flowState(initial, at: points[0])
    }

    /// The number of steps.
    public var count: Int { points.count - 1 }

    /// How often all steps together evaluate the field: a step to clean latents is Euler's in any
    /// case.
    public var evaluations: Int {
        solver == .heun ? 2 * count - (endsClean ? 1 : 0) : count
    }

    /// Takes the next step.
    public mutating func next() throws -> SamplingStep? {
        guard index < count else { return nil }
        try Task.checkCancellation()
        let (here, there) = (points[index].flowTime, points[index + 1].flowTime)
        let isLast = index == count - 1
        let place = "step \(index + 1) of \(count)"
        let seen = try field.checked(latent, at: here, place)
        let isDone = isLast && endsClean
        if isDone {
            latent = seen.clean
        } else {
            latent = try step(seen, from: here, to: there, place)
        }
        previous = (seen.clean, here)
        if let kept {
            latent = kept.replacing(
                latent, at: isDone ? 0 : points[index + 1].time,
                signal: isDone ? 1 : Float(there), deviation: isDone ? 0 : Float(1 - there))
        }
        if isLast {
            latent =
                isDone
                ? field.map.latents(latent) : field.map.diffusionState(latent, at: points[count])
        }
        defer { index += 1 }
        return SamplingStep(
            index: index, count: count, latent: latent,
            predictedClean: field.map.latents(seen.clean), predictedNoise: seen.noise)
    }

    private func step(
        _ seen: FlowField.Prediction, from here: Double, to there: Double, _ place: String
    ) throws -> Tensor {
        let width = Float(there - here)
        switch solver {
        case .euler:
            return Tensor.combine(1, latent, width, seen.velocity)
        case .heun:
            let end = Tensor.combine(1, latent, width, seen.velocity)
            let other = try field.checked(end, at: there, place)
            return Tensor.combine(
                1, latent, width, Tensor.combine(0.5, seen.velocity, 0.5, other.velocity))
        case .dpmpp2M:
            // In λ = log(τ / (1 − τ)) the linear part is solved exactly, and what remains is an
            // integral over the clean latents: constant at first, then along a line.
            var clean = seen.clean
            // Times beyond the schedule's ends are the same point, through which goes no line.
            if let previous, previous.flowTime > 0, previous.flowTime < here {
                func lambda(_ flowTime: Double) -> Double { log(flowTime / (1 - flowTime)) }
                let share = Float(
                    (lambda(there) - lambda(here))
                        / (2 * (lambda(here) - lambda(previous.flowTime))))
                clean = Tensor.combine(1 + share, clean, -share, previous.clean)
            }
            let rest = (1 - there) / (1 - here)
            return Tensor.combine(
                Float(rest), latent, Float(there - here * rest), clean)
        }
    }
}
