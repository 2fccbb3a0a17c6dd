private import Foundation
public import TensorCore

/// How one step along a velocity field is taken.
public enum FlowSolver: String, Sendable, Hashable, CaseIterable, Codable {
    /// Straight on (Euler): an error of first order.
    case euler
    /// Along the mean of the velocities at both ends (Heun): twice the work, an error of second
    /// order.
    case heun
    /// Along a line through the clean latents of this step and the last (DPM-Solver++(2M), Lu et
    /// al., 2022): an error of second order for the work of Euler's.
    case dpmpp2M = "dpmpp-2m"
}

extension FlowField {
    /// Follows the flow from noise to data, in given steps.
    ///
    /// - Parameters:
    ///   - noise: Unit noise, `[batch, height, width, channels]`.
    ///   - timesteps: Steps between times of diffusion's, which should end at 0.
    ///   - solver: How each step is taken.
    /// - Returns: Clean latents as the stage makes them, or what ``FlowSampler/latent`` ends with;
    ///   and how often the field was evaluated.
    /// - Throws: `CancellationError` when the task is cancelled, or ``WuerstchenError`` with code
    ///   `notFinite`.
    public func solve(
        from noise: Tensor, timesteps: Timesteps, solver: FlowSolver
    ) throws -> (latent: Tensor, evaluations: Int) {
        var sampler = FlowSampler(
            self, timesteps: timesteps, solver: solver, initial: noise,
            noise: SeededNoise(seeds: []))
        while try sampler.next() != nil {}
        return (sampler.latent, sampler.evaluations)
    }

    /// Follows the flow from noise to data, in steps as long as the error allows: the third-order
    /// method of Bogacki and Shampine (1989) with its second-order error estimate.
    ///
    /// - Parameters:
    ///   - noise: Unit noise, `[batch, height, width, channels]`.
    ///   - tolerance: What the root mean square of the estimate stays below, in each sample.
    /// - Returns: Clean latents, and how often the field was evaluated.
    /// - Throws: `CancellationError` when the task is cancelled, or ``WuerstchenError`` with code
    ///   `notFinite`, or `invalidRequest` for a tolerance that cannot be met.
    public func solve(
        from noise: Tensor, tolerance: Double
    ) throws -> (latent: Tensor, evaluations: Int) {
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
        return (map.latents(clean), evaluations + 1)
    }
}
