private import Foundation

/// A learning rate that rises linearly from 0 and then falls along a cosine.
public struct LearningRate: Sendable, Hashable, Codable {
    /// The highest rate.
    public var peak: Float
    /// The rate at the end.
    public var final: Float
    /// Steps of rising.
    public var warmUp: Int
    /// All steps.
    public var steps: Int

    /// A rate of the given values.
    public init(peak: Float, final: Float, warmUp: Int, steps: Int) {
        self.peak = peak
        self.final = final
        self.warmUp = warmUp
        self.steps = steps
    }

    /// The rate of a step, counted from 0: `peak · (step + 1) / warmUp` at first.
    public subscript(step: Int) -> Float {
        // Wraps rather than traps at numbers that no training has.
        if step < warmUp { return peak * Float(step &+ 1) / Float(warmUp) }
        let progress = Float(step &- warmUp) / Float(max(1, steps &- warmUp))
        return final + (peak - final) * 0.5 * (1 + cosf(.pi * min(1, progress)))
    }
}
