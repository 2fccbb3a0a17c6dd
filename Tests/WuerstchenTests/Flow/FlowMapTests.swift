import TensorCore
import Testing
import Wuerstchen

@Suite("Flow map") struct FlowMapTests {
    @Test("the flow's time at times of diffusion's, for two deviations")
    func table() {
        // Time, τ for unit deviation, τ for 1/42.
        let rows: [(Float, Double, Double)] = [
            (0, 0.9901, 0.7042), (0.05, 0.9176, 0.2096), (0.25, 0.7018, 0.0531),
            (0.5, 0.4969, 0.0230), (0.75, 0.2911, 0.0097), (0.9, 0.1358, 0.0037),
            (1, 0.0099, 0.0002),
        ]
        for (time, unit, small) in rows {
            let map = FlowMap(isClamped: true)
            #expect(abs(map.point(time: time).flowTime - unit) < 6e-5)
            let other = FlowMap(deviation: 1.0 / 42, isClamped: true)
            #expect(abs(other.point(time: time).flowTime - small) < 6e-5)
        }
    }

    @Test("the inverse, and there and back again under any schedule")
    func inverse() {
        for (flowTime, time) in [
            (0.05, 0.96626), (0.25, 0.79355), (0.5, 0.49605), (0.75, 0.19862), (0.99, 0.00230),
        ] {
            let point = FlowMap(isClamped: false).point(flowTime: flowTime)
            #expect(abs(Double(point.time) - time) < 1e-5)
        }
        for scaler in [0.5, 1, 1.45] {
            let map = FlowMap(
                schedule: NoiseSchedule(scaler: scaler), mean: 0.3, deviation: 0.7,
                isClamped: false)
            for step in 0...20 {
                let flowTime = Double(step) / 20
                let there = map.point(flowTime: flowTime)
                #expect(abs(there.flowTime - flowTime) < 1e-9)
                #expect(abs(map.point(time: there.time).flowTime - flowTime) < 2e-5)
            }
        }
    }

    @Test(
        "states there and back, and a step's golden numbers",
        arguments: [
            (0.0, 1.0, 0.7663497, 0.2910839, 1.4150273, 0.9546969),
            (-0.1, 0.8, 0.8446297, 0.2472619, 1.8937841, 1.1152250),
        ])
    func golden(
        _ mean: Double, _ deviation: Double, _ state: Double, _ flowTime: Double, _ clean: Double,
        _ next: Double
    ) throws {
        let map = FlowMap(mean: mean, deviation: deviation, isClamped: true)
        let point = map.point(time: 0.75)
        let x = Tensor([1, 1, 1, 1], [4])
        let y = map.flowState(x, at: point)
        #expect(abs(Double(y.elements[0]) - state) < 1e-6)
        #expect(abs(point.flowTime - flowTime) < 1e-6)
        #expect(abs(map.diffusionState(y, at: point).elements[0] - 1) < 1e-6)
        let field = try FlowField("test", map: map, predicting: .noise) { x, _ in
            Tensor(repeating: 0.5, x.shape)
        }
        let batch = y.reshaped(to: [1, 2, 2, 1])
        let seen = try field(batch, at: point.flowTime)
        #expect(abs(Double(seen.clean.elements[0]) - clean) < 3e-6)
        #expect(seen.noise.elements[0] == 0.5)
        let end = map.point(time: 0.5)
        let moved = Tensor.combine(
            1, batch, Float(end.flowTime - point.flowTime), seen.velocity)
        #expect(abs(Double(moved.elements[0]) - next) < 2e-6)
        #expect(abs(map.diffusionState(moved, at: end).elements[0] - 1.3501197) < 3e-6)
    }

    @Test("equal steps of the flow's time, and counts that make no sense")
    func timesteps() throws {
        let times = try FlowMap(isClamped: false).timesteps(count: 4).times
        for (time, expected) in zip(times, [1, 0.79355, 0.49605, 0.19862, 0] as [Float]) {
            #expect(abs(time - expected) < 1e-5)
        }
        for isClamped in [true, false] {
            let many = try FlowMap(isClamped: isClamped).timesteps(count: 300).times
            #expect(zip(many, many.dropFirst()).allSatisfy { $0 > $1 })
        }
        #expect(throws: WuerstchenError.self) {
            _ = try FlowMap(isClamped: false).timesteps(count: 0)
        }
    }
}
