import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@Suite("Flow field") struct FlowFieldTests {
    @Test("a flow of normal data ends where it must, whoever predicts what")
    func ends() throws {
        let data = AnalyticFlow(mean: 1, deviation: 0.5)
        let noise = AnalyticFlow.noise(256)
        let native = FlowMap(isClamped: false)
        // The exact flow from noise n is m + s · n.
        for (field, tolerance) in [
            (try data.nativeField(native), 2e-4), (try data.field(FlowMap(isClamped: true)), 0.02),
        ] {
            for end in [
                try field.solve(
                    from: noise, timesteps: field.map.timesteps(count: 200), solver: .heun),
                try field.solve(from: noise, tolerance: 1e-5),
            ] {
                for (found, start) in zip(end.latent.elements, noise.elements) {
                    #expect(abs(Double(found) - (1 + 0.5 * Double(start))) < tolerance * 3)
                }
            }
        }
    }

    @Test("errors of Euler's method halve with the step, those of Heun's quarter")
    func orders() throws {
        let field = try AnalyticFlow(mean: 0.5, deviation: 0.3)
            .nativeField(FlowMap(isClamped: false))
        let noise = AnalyticFlow.noise(256)
        func error(_ steps: Int, _ solver: FlowSolver) throws -> Double {
            // Short of the end, where the last step is Euler's.
            let times = try Timesteps(
                (0...steps).map { step in
                    field.map.point(flowTime: 0.9 * Double(step) / Double(steps)).time
                })
            let state = try field.solve(from: noise, timesteps: times, solver: solver).latent
            let end = field.map.flowState(state, at: field.map.point(time: times.times[steps]))
            let (t, m, s) = (0.9, 0.5, 0.3)
            let growth = ((1 - t) * (1 - t) + t * t * s * s).squareRoot()
            return zip(end.elements, noise.elements).reduce(0) {
                max($0, abs(Double($1.0) - (t * m + growth * Double($1.1))))
            }
        }
        let euler = try error(16, .euler) / error(32, .euler)
        let heun = try error(16, .heun) / error(32, .heun)
        #expect((1.7...2.3).contains(euler), "\(euler)")
        #expect((3.4...4.8).contains(heun), "\(heun)")
    }

    @Test("straightness, transport and the paper's identity, in closed form")
    func straightness() throws {
        for (mean, deviation) in [(1.0, 0.5), (2.0, 1.5)] {
            let field = try AnalyticFlow(mean: mean, deviation: deviation)
                .nativeField(FlowMap(isClamped: false))
            let found = try field.straightness(from: AnalyticFlow.noise(), steps: 512)
            #expect(abs(found.curvature - (2 - .pi / 2) * deviation) < 5e-3)
            #expect(
                abs(found.cost - (mean * mean + (deviation - 1) * (deviation - 1))) < 5e-3)
        }
        let straight = try FlowField(
            "test", map: FlowMap(isClamped: false), predicting: .velocity
        ) { x, _ in Tensor(repeating: 2, x.shape) }
        #expect(try straight.straightness(from: AnalyticFlow.noise(64)).ratio < 1e-9)
    }

    @Test("pure noise is all that a native flow's first step sees")
    func start() throws {
        let field = try FlowField(
            "test", map: FlowMap(mean: 0.4, deviation: 2, isClamped: false), predicting: .velocity
        ) { x, times in
            #expect(times.allSatisfy { $0 == 1 })
            return x.scaled(by: 3)
        }
        let noise = AnalyticFlow.noise(64)
        #expect(field.start(noise).elements == noise.elements)
        let times = try field.map.timesteps(count: 1)
        let end = try field.solve(from: noise, timesteps: times, solver: .euler)
        #expect(end.evaluations == 1)
        for (found, start) in zip(end.latent.elements, noise.elements) {
            #expect(abs(found - (0.4 + 2 * 4 * start)) < 1e-4)
        }
    }

    @Test("what is not a number is refused, and a tolerance that makes no sense")
    func refused() throws {
        let field = try FlowField(
            "Stage X", map: FlowMap(isClamped: false), predicting: .velocity
        ) { x, _ in Tensor(repeating: .nan, x.shape) }
        let noise = AnalyticFlow.noise(64)
        expectError(.notFinite, "Stage X") {
            _ = try field.solve(from: noise, tolerance: 0.1)
        }
        expectError(.invalidRequest, "tolerance") {
            _ = try field.solve(from: noise, tolerance: 0)
        }
        for times in [[], [0.5, 0.5], [.nan], [1.5]] {
            expectError(.invalidRequest, "flow's times") { _ = try field(noise, at: times) }
        }
    }
}
