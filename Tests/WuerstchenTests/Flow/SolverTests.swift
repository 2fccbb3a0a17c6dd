import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// Samplers against normal data, whose every trajectory has a closed form.
@Suite("Solvers") struct SolverTests {
    private static let data = AnalyticFlow(mean: 0.5, deviation: 0.3)

    /// The largest error at a time, of steps that are equal in diffusion's time.
    private func error(_ steps: Int, _ solver: FlowSolver, native: Bool) throws -> Double {
        let map = FlowMap(isClamped: !native)
        let field = native ? try Self.data.nativeField(map) : try Self.data.field(map)
        let noise = AnalyticFlow.noise(256)
        let (first, last): (Float, Float) = (0.9, 0.2)
        let times = try Timesteps(
            (0...steps).map { first + (last - first) * Float($0) / Float(steps) })
        let (begin, end) = (map.point(time: first), map.point(time: last))
        /// Where data that are normal put a quantile: `α m + √(α² s² + σ²) n`.
        func exact(_ point: FlowMap.Point, _ n: Float) -> Double {
            point.signal * 0.5
                + (point.signal * point.signal * 0.09 + point.noise * point.noise).squareRoot()
                * Double(n)
        }
        let start = Tensor(noise.elements.map { Float(exact(begin, $0)) }, noise.shape)
        var sampler = FlowSampler(
            field, timesteps: times, solver: solver, initial: start, noise: SeededNoise(seeds: []))
        while try sampler.next() != nil {}
        return zip(sampler.latent.elements, noise.elements).reduce(0) {
            max($0, abs(Double($1.0) - exact(end, $1.1)))
        }
    }

    @Test(
        "Euler's error halves with the step, those of the other two quarter",
        arguments: [true, false])
    func orders(native: Bool) throws {
        for (solver, range) in [
            (FlowSolver.euler, 1.7...2.3), (.heun, 3.3...4.9), (.dpmpp2M, 3.3...4.9),
        ] {
            let ratio = try error(12, solver, native: native) / error(24, solver, native: native)
            #expect(range.contains(ratio), "\(solver): \(ratio)")
        }
        // One pass a step, and far nearer than Euler's.
        #expect(
            try error(12, .dpmpp2M, native: native) < 0.3 * error(12, .euler, native: native))
    }

    @Test("times beyond the schedule's ends leave no numbers that are none")
    func clampedTimes() throws {
        let field = try Self.data.field(FlowMap(isClamped: true))
        for times in [[1, 0.999, 0.5, 0], [1, 0.5, 0.001, 0.0005]] as [[Float]] {
            var sampler = FlowSampler(
                field, timesteps: try Timesteps(times), solver: .dpmpp2M,
                initial: AnalyticFlow.noise(64), noise: SeededNoise(seeds: []))
            while try sampler.next() != nil {}
            #expect(sampler.latent.elements.allSatisfy { $0.isFinite && abs($0) < 3 }, "\(times)")
        }
    }

    @Test(
        "ancestral steps make data of the right mean, and of a deviation that converges",
        arguments: [(60, 0.2762), (240, 0.2930)] as [(Int, Float)])
    func ancestral(_ steps: Int, _ expected: Float) throws {
        // Each step maps normal data to normal data: the expected deviations are those of the
        // recursion in exact arithmetic, on the way to 0.3 with an error of first order.
        let field = try Self.data.field(FlowMap(isClamped: true))
        var sampler = try DiffusionSampler(
            stage: "test", schedule: NoiseSchedule(),
            options: SamplingOptions(timesteps: Timesteps(count: steps), guidance: 0),
            initial: AnalyticFlow.noise(16384), noise: SeededNoise(seeds: [1]),
            denoiser: { x, times in
                let point = field.map.point(time: times[0])
                return try field(field.map.flowState(x, at: point), at: point.flowTime).noise
            })
        while try sampler.next() != nil {}
        let mean = sampler.latent.mean().elements[0]
        let deviation = (sampler.latent.meanSquare().elements[0] - mean * mean).squareRoot()
        #expect(abs(mean - 0.5) < 0.01 && abs(deviation - expected) < 0.006)
    }

    @Test("the last step gives the clean prediction where it is asked to")
    func endsClean() throws {
        let field = try Self.data.field(FlowMap(isClamped: true))
        for method in [SamplingMethod.ddpm, .ddim] {
            var options = SamplingOptions(
                timesteps: try Timesteps(count: 5), guidance: 0, method: method)
            func last() throws -> SamplingStep {
                var sampler = try DiffusionSampler(
                    stage: "test", schedule: NoiseSchedule(), options: options,
                    initial: AnalyticFlow.noise(64),
                    noise: SeededNoise(seeds: [1]),
                    denoiser: { x, times in
                        let point = field.map.point(time: times[0])
                        return try field(
                            field.map.flowState(x, at: point), at: point.flowTime
                        ).noise
                    })
                var last: SamplingStep?
                while let step = try sampler.next() { last = step }
                return try #require(last)
            }
            let published = try last()
            #expect(published.latent.elements != published.predictedClean.elements)
            options.endsClean = true
            let clean = try last()
            #expect(clean.latent.elements == clean.predictedClean.elements)
            #expect(clean.predictedClean.elements == published.predictedClean.elements)
        }
    }
}
