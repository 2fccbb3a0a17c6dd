private import Foundation
public import TensorCore

/// How the ordinary differential equation of a flow is solved from beginning to end.
public enum FlowSolver: Sendable, Hashable {
    /// Euler's or Heun's method at given times.
    case fixed(Timesteps, SamplingMethod)
    /// Steps as long as the error allows: the third-order method of Bogacki and Shampine (1989) with
    /// its second-order error estimate, the root of whose mean square stays below the tolerance in
    /// each sample.
    case adaptive(tolerance: Double)
}

/// The end of a flow, and what it took.
public struct FlowSolution: Sendable {
    /// Clean latents as the stage makes them.
    public let latent: Tensor
    /// How often the field was evaluated.
    public let evaluations: Int
}

extension FlowField {
    /// Follows the flow from noise to data.
    ///
    /// - Parameters:
    ///   - noise: Unit noise, `[batch, height, width, channels]`.
    ///   - solver: How.
    /// - Returns: The clean latents.
    /// - Throws: `CancellationError` when the task is cancelled, or ``WuerstchenError`` with code
    ///   `notFinite`, or `invalidRequest` for a tolerance that cannot be met.
    public func solve(from noise: Tensor, _ solver: FlowSolver) throws -> FlowSolution {
        switch solver {
        case .fixed(let timesteps, let method):
            var sampler = FlowSampler(
                self, timesteps: timesteps, method: method, initial: noise,
                noise: SeededNoise(seeds: []))
            while try sampler.next() != nil {}
            return FlowSolution(
                latent: sampler.latent,
                evaluations: method == .heun ? 2 * sampler.count - 1 : sampler.count)
        case .adaptive(let tolerance):
            return try solve(from: noise, tolerance: tolerance)
        }
    }

    private func solve(from noise: Tensor, tolerance: Double) throws -> FlowSolution {
        guard tolerance > 0, tolerance.isFinite else {
            throw WuerstchenError(
                .invalidRequest, "a flow's tolerance is \(tolerance); it must be positive")
        }
        var flowTime = map.point(time: 1).flowTime
        // Beyond this a clamped schedule's network has learnt nothing; the rest is what it sees there.
        let end = map.point(time: 0).flowTime
        var y = start(noise)
        var evaluations = 1
        var first = try checked(y, at: flowTime, step: 0, of: 1).velocity
        var step = 0.05
        while flowTime < end - 1e-9 {
            try Task.checkCancellation()
            step = min(step, end - flowTime)
            let h = Float(step)
            let second = try checked(
                Tensor.combine(1, y, h / 2, first), at: flowTime + step / 2, step: evaluations,
                of: evaluations
            ).velocity
            let third = try checked(
                Tensor.combine(1, y, h * 3 / 4, second), at: flowTime + step * 3 / 4,
                step: evaluations, of: evaluations
            ).velocity
            let mean = Tensor.combine(
                1, Tensor.combine(2.0 / 9, first, 1.0 / 3, second), 4.0 / 9, third)
            let next = Tensor.combine(1, y, h, mean)
            let fourth = try checked(
                next, at: flowTime + step, step: evaluations, of: evaluations
            ).velocity
            evaluations += 3
            // The difference to the second-order result.
            let difference = Tensor.combine(
                1,
                Tensor.combine(
                    h * Float(-5.0 / 72), first, h / 12, second),
                1, Tensor.combine(h / 9, third, h * -0.125, fourth))
            let error = (0..<y.shape[0]).map {
                Double(difference[$0..<$0 + 1].meanSquare().elements[0]).squareRoot()
            }.max() ?? 0
            if error <= tolerance {
                (flowTime, y, first) = (flowTime + step, next, fourth)
            } else if step < 1e-5 {
                throw WuerstchenError(
                    .invalidRequest,
                    "the flow cannot be followed to within \(tolerance); allow more")
            }
            let ratio = error > 0 ? tolerance / error : 1000
            step *= min(max(0.9 * cbrt(ratio), 0.3), 3)
        }
        let clean = try checked(y, at: flowTime, step: evaluations, of: evaluations).clean
        return FlowSolution(latent: latent(clean), evaluations: evaluations + 1)
    }
}
