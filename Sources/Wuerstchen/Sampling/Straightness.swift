public import TensorCore

/// How straight a flow is (Liu et al., "Flow Straight and Fast", 2022).
public struct Straightness: Sendable, Hashable {
    /// `∫ E‖(Z₁ − Z₀) − v(Z, τ)‖² dτ` for each element: 0 for a flow along straight lines, of which
    /// one step is exact.
    public let curvature: Double
    /// `E‖Z₁ − Z₀‖²` for each element: what the flow costs in transport.
    public let cost: Double
    /// Curvature over cost, which compares across spaces.
    public var ratio: Double { curvature / max(cost, .leastNormalMagnitude) }
}

extension FlowField {
    /// How straight the flow is, by Euler's steps from some noise.
    ///
    /// - Parameters:
    ///   - noise: Unit noise, `[batch, height, width, channels]`.
    ///   - steps: Equal steps of the flow's time, at least 1.
    /// - Returns: Curvature and cost.
    /// - Throws: `CancellationError` when the task is cancelled, or ``WuerstchenError`` with code
    ///   `notFinite`.
    public func straightness(from noise: Tensor, steps: Int = 32) throws -> Straightness {
        let begin = map.point(time: 1).flowTime
        let width = (map.point(time: 0).flowTime - begin) / Double(max(1, steps))
        var y = start(noise)
        let first = y
        var velocities: [Tensor] = []
        for step in 0..<max(1, steps) {
            try Task.checkCancellation()
            let velocity = try checked(
                y, at: begin + Double(step) * width, "step \(step + 1) of \(steps)"
            ).velocity
            velocities.append(velocity)
            y = Tensor.combine(1, y, Float(width), velocity)
        }
        let way = (y - first).scaled(by: Float(1 / (width * Double(velocities.count))))
        let curvature = velocities.reduce(0.0) {
            $0 + Double((way - $1).meanSquare().elements[0]) / Double(velocities.count)
        }
        return Straightness(
            curvature: curvature, cost: Double(way.meanSquare().elements[0]))
    }
}
