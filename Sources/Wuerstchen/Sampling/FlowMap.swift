private import Foundation
public import TensorCore

/// The change of variables between diffusion and a rectified flow (Liu et al., "Flow Straight and
/// Fast", 2022).
///
/// Diffusion has `x = α(t) · z + σ(t) · ε` with t from 1, noise, to 0. A flow has
/// `y = τ · u + (1 − τ) · ε` with τ from 0, noise, to 1, where `z = mean + deviation · u`. With
/// `κ = α · deviation + σ` they are the same point: `τ = α · deviation / κ`, `y = (x − α · mean) /
/// κ`. A network that predicts noise is therefore the velocity field of a flow, without any
/// training.
public struct FlowMap: Sendable, Hashable {
    /// How noise grows with diffusion's time.
    public var schedule: NoiseSchedule
    /// The mean of clean latents.
    public var mean: Double
    /// The standard deviation of clean latents.
    public var deviation: Double
    /// Whether ᾱ stays within 0.0001…0.9999, as networks that predict noise have learnt it.
    /// Otherwise time 1 is nothing but noise.
    public var isClamped: Bool

    /// A map for a schedule.
    public init(
        schedule: NoiseSchedule = NoiseSchedule(), mean: Double = 0, deviation: Double = 1,
        isClamped: Bool
    ) {
        precondition(deviation > 0, "a deviation of \(deviation)")
        self.schedule = schedule
        self.mean = mean
        self.deviation = deviation
        self.isClamped = isClamped
    }

    /// A point in both times.
    public struct Point: Sendable, Hashable {
        /// Diffusion's time t.
        public let time: Float
        /// The flow's time τ.
        public let flowTime: Double
        /// α, what the clean latent is multiplied with in diffusion.
        public let signal: Double
        /// σ, what the noise is multiplied with in diffusion.
        public let noise: Double
        /// κ, what the flow's latent is multiplied with to be diffusion's.
        public let scale: Double
    }

    /// The point at a time of diffusion's.
    public func point(time: Float) -> Point {
        let alphaBar =
            isClamped
            ? Double(schedule.alphaBar(at: time))
            : schedule.unclampedAlphaBar(at: Double(time))
        return point(time: time, signal: alphaBar.squareRoot(), noise: (1 - alphaBar).squareRoot())
    }

    /// The point at a time of the flow's; beyond what a clamped schedule reaches, the nearest.
    public func point(flowTime: Double) -> Point {
        if isClamped {
            let (first, last) = (point(time: 1), point(time: 0))
            if flowTime <= first.flowTime { return first }
            if flowTime >= last.flowTime { return last }
        }
        if flowTime >= 1 { return point(time: 0, signal: 1, noise: 0) }
        let ratio = max(0, flowTime) / ((1 - flowTime) * deviation)
        let length = (1 + ratio * ratio).squareRoot()
        let time = schedule.time(atSignal: ratio / length)
        return point(time: Float(time), signal: ratio / length, noise: 1 / length)
    }

    private func point(time: Float, signal: Double, noise: Double) -> Point {
        let scale = signal * deviation + noise
        return Point(
            time: time, flowTime: signal * deviation / scale, signal: signal, noise: noise,
            scale: scale)
    }

    /// Equal steps of the flow's time from noise to data, as times of diffusion's; on a clamped
    /// schedule from where it begins to where it ends.
    ///
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` for a count outside 1…10000.
    public func timesteps(count: Int) throws -> Timesteps {
        try Timesteps.validate(count: count)
        return equalTimesteps(count)
    }

    func equalTimesteps(_ count: Int) -> Timesteps {
        let (first, last) = (point(time: 1).flowTime, point(time: 0).flowTime)
        let inner = (1..<max(1, count)).map {
            point(flowTime: first + (last - first) * Double($0) / Double(count)).time
        }
        return Timesteps(unchecked: [1] + inner + [0])
    }

    /// The noise that a flow's network implies in latents of diffusion's.
    func noise(
        _ predicted: Tensor, _ kind: PredictionKind, _ x: Tensor, _ times: [Float]
    ) -> Tensor {
        let points = times.map { point(time: $0) }
        let (y, flowTimes) = (flowState(x, at: points), points.map(\.flowTime))
        let velocity =
            kind == .clean ? FlowMap.velocity(to: predicted, y, at: flowTimes) : predicted
        return y - velocity.scaled(bySample: flowTimes.map { Float($0) })
    }

    /// The velocity that leads from a flow's latents to clean ones in the time that is left.
    static func velocity(to clean: Tensor, _ y: Tensor, at flowTimes: [Double]) -> Tensor {
        // Where no time is left there is nowhere to go, and nothing to divide by.
        (clean - y).scaled(bySample: flowTimes.map { Float(1 / max(1 - $0, 1e-3)) })
    }

    /// The end of the flow: clean latents, which a clamped schedule never quite reaches.
    package var end: Point { point(time: 0, signal: 1, noise: 0) }

    /// The flow's latents at diffusion's, at a point for each sample.
    package func flowState(_ x: Tensor, at points: [Point]) -> Tensor {
        x.scaled(
            bySample: points.map { Float(1 / $0.scale) },
            shift: points.map { Float(-$0.signal * mean / $0.scale) })
    }

    /// Diffusion's latents at the flow's, at a point for each sample.
    package func diffusionState(_ y: Tensor, at points: [Point]) -> Tensor {
        y.scaled(
            bySample: points.map { Float($0.scale) },
            shift: points.map { Float($0.signal * mean) })
    }

    /// The flow's clean latents u for those that a stage makes.
    public func normalized(_ latents: Tensor) -> Tensor {
        latents.scaled(by: Float(1 / deviation), shift: Float(-mean / deviation))
    }

    /// Clean latents as a stage makes them for those of the flow.
    public func latents(_ normalized: Tensor) -> Tensor {
        normalized.scaled(by: Float(deviation), shift: Float(mean))
    }

    /// The flow's latents at diffusion's.
    public func flowState(_ x: Tensor, at point: Point) -> Tensor {
        x.scaled(by: Float(1 / point.scale), shift: Float(-point.signal * mean / point.scale))
    }

    /// Diffusion's latents at the flow's.
    public func diffusionState(_ y: Tensor, at point: Point) -> Tensor {
        y.scaled(by: Float(point.scale), shift: Float(point.signal * mean))
    }
}

extension NoiseSchedule {
    /// ᾱ where nothing is cut off: 0 at time 1 and 1 at time 0.
    func unclampedAlphaBar(at time: Double) -> Double {
        let bent =
            scaler > 1 ? 1 - pow(1 - time, scaler) : scaler < 1 ? pow(time, scaler) : time
        let start = cos(offset / (1 + offset) * .pi / 2)
        let cosine = cos((bent + offset) / (1 + offset) * .pi / 2) / start
        return min(max(cosine * cosine, 0), 1)
    }

    /// The time at which α, the root of the unclamped ᾱ, is what is asked for.
    func time(atSignal signal: Double) -> Double {
        let start = cos(offset / (1 + offset) * .pi / 2)
        let angle = acos(min(max(signal * start, -1), 1))
        let bent = min(max(angle * 2 / .pi * (1 + offset) - offset, 0), 1)
        return scaler > 1
            ? 1 - pow(1 - bent, 1 / scaler) : scaler < 1 ? pow(bent, 1 / scaler) : bent
    }
}
