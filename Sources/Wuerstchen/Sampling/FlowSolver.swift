private import Foundation
public import TensorCore

/// How the ordinary differential equation of a flow is solved from beginning to end.
public enum FlowSolver: Sendable, Hashable {
    /// Steps between given times of diffusion's, which should end at 0.
    case fixed(Timesteps, FlowMethod)
    /// Steps as long as the error allows: the third-order method of Bogacki and Shampine (1989)
    /// with its second-order error estimate, the root of whose mean square stays below the
    /// tolerance in each sample.
    case adaptive(tolerance: Double)
}

/// The end of a flow, and what it took.
public struct FlowSolution: Sendable {
    /// Clean latents as the stage makes them, or what ``FlowSampler/latent`` ends with.
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
            return FlowSolution(latent: sampler.latent, evaluations: sampler.evaluations)
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
        // Beyond this a clamped schedule's network has learnt nothing; the rest is what it sees
        // there.
        let end = map.point(time: 0).flowTime
        var y = start(noise)
        var evaluations = 1
        func velocity(_ y: Tensor, _ flowTime: Double) throws -> Tensor {
            try checked(y, at: flowTime, "evaluation \(evaluations)").velocity
        }
        var first = try velocity(y, flowTime)
        var step = 0.05
        while flowTime < end - 1e-9 {
            try Task.checkCancellation()
            step = min(step, end - flowTime)
            let h = Float(step)
            let second = try velocity(Tensor.combine(1, y, h / 2, first), flowTime + step / 2)
            let third = try velocity(
                Tensor.combine(1, y, h * 3 / 4, second), flowTime + step * 3 / 4)
            let mean = Tensor.combine(
                1, Tensor.combine(2.0 / 9, first, 1.0 / 3, second), 4.0 / 9, third)
            let next = Tensor.combine(1, y, h, mean)
            let fourth = try velocity(next, min(1, flowTime + step))
            evaluations += 3
            // The difference to the second-order result.
            let difference = Tensor.combine(
                1,
                Tensor.combine(
                    h * Float(-5.0 / 72), first, h / 12, second),
                1, Tensor.combine(h / 9, third, h * -0.125, fourth))
            let error =
                (0..<y.shape[0]).map {
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
        let clean = try checked(y, at: min(1, flowTime), "the last evaluation").clean
        return FlowSolution(latent: map.latents(clean), evaluations: evaluations + 1)
    }
}
