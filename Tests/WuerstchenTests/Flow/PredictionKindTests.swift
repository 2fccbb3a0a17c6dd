import Foundation
import TensorCore
import Testing
import _WuerstchenTestSupport

@testable import Wuerstchen

@Suite("What a flow's network predicts, and in how many steps") struct PredictionKindTests {
    private func configuration(_ json: String) throws -> FlowConfiguration {
        try JSONDecoder().decode(FlowConfiguration.self, from: Data(json.utf8))
    }

    @Test("a configuration says what is predicted only where it is no velocity")
    func coded() throws {
        #expect(try configuration("{}").prediction == .velocity)
        var flow = FlowConfiguration(steps: 1, guidance: 4)
        let plain = String(decoding: try JSONEncoder().encode(flow), as: UTF8.self)
        #expect(!plain.contains("prediction") && !plain.contains("windows"), "\(plain)")
        flow.prediction = .clean
        #expect(
            try configuration(String(decoding: JSONEncoder().encode(flow), as: UTF8.self)) == flow)
        (flow.steps, flow.windows) = (nil, 4)
        #expect(
            try configuration(String(decoding: JSONEncoder().encode(flow), as: UTF8.self)) == flow)
        expectError(.invalidConfiguration, "velocity or clean") {
            try configuration("{\"prediction\": \"noise\"}").validate()
        }
        expectError(.invalidConfiguration, "one of the two") {
            try configuration("{\"steps\": 2, \"windows\": 2}").validate()
        }
        expectError(.invalidConfiguration, "1 to 1000") {
            try configuration("{\"windows\": 0}").validate()
        }
        #expect(throws: (any Error).self) { try configuration("{\"prediction\": \"all\"}") }
    }

    @Test("velocity, clean latents and noise follow from each other, whichever is predicted")
    func kinds() throws {
        let y = Tensor.random([2, 3, 3, 2], seed: 1)
        let predicted = Tensor.random([2, 3, 3, 2], seed: 2)
        let times = [0.0, 0.7]
        let map = FlowMap(mean: 0.4, deviation: 2, isClamped: false)
        func seen(_ kind: PredictionKind, _ output: Tensor) throws -> FlowField.Prediction {
            try FlowField("test", map: map, predicting: kind) { _, _ in output }(y, at: times)
        }
        let velocity = try seen(.velocity, predicted)
        let clean = try seen(.clean, velocity.clean)
        for (one, other) in [
            (velocity.velocity, clean.velocity), (velocity.clean, clean.clean),
            (velocity.noise, clean.noise),
        ] {
            #expect((one - other).abs().elements.allSatisfy { $0 < 1e-5 })
        }
        // In one step the prediction is the result, bit for bit.
        let field = try FlowField("test", map: map, predicting: .clean) { _, _ in predicted }
        let end = try field.solve(from: y, timesteps: map.timesteps(count: 1), solver: .euler)
        #expect(end.latent.elements == map.latents(predicted).elements)
    }

    @Test("a stage that predicts clean latents sees the same noise as one of the same velocity")
    func noise() throws {
        let x = Tensor.random([2, 3, 3, 2], seed: 1)
        let map = FlowMap(mean: 0.4, deviation: 2, isClamped: false)
        let times: [Float] = [0.9, 0.3]
        let points = times.map { map.point(time: $0) }
        let y = map.flowState(x, at: points)
        let velocity = Tensor.random([2, 3, 3, 2], seed: 2)
        let clean = y + velocity.scaled(bySample: points.map { Float(1 - $0.flowTime) })
        let (one, other) = (
            map.noise(velocity, .velocity, x, times), map.noise(clean, .clean, x, times)
        )
        #expect((one - other).abs().elements.allSatisfy { $0 < 1e-5 })
        // And back again.
        let back = map.diffusionState(y, at: points)
        #expect((back - x).abs().elements.allSatisfy { $0 < 1e-5 })
    }

    @Test("a flow of windows takes a multiple of so many equal steps")
    func windows() throws {
        var flow = FlowConfiguration()
        flow.windows = 4
        let description = StageDescription(
            name: "Stage X", flow: flow, noiseSampling: .stageC, readsText: true,
            latentChannels: 2)
        #expect(description.defaultSampling.timesteps.count == 4)
        func validate(_ timesteps: Timesteps, guidance: Float = 0) throws {
            try description.validate(
                SamplingOptions(timesteps: timesteps, guidance: guidance, method: .heun))
        }
        for count in [4, 8, 12] { try validate(description.flowMap.timesteps(count: count)) }
        let map = description.flowMap
        expectError(.invalidRequest, "it takes 4, 8, 12", "not 6") {
            try validate(map.timesteps(count: 6))
        }
        expectError(.invalidRequest, "equal steps") {
            try validate(Timesteps([1, 0.9, 0.8, 0.7, 0]))
        }
        expectError(.invalidRequest, "without guidance") {
            try validate(map.timesteps(count: 4), guidance: 3)
        }
    }

    @Test("features are what a stage's network has come to, with its caption and its time")
    func features() throws {
        var c = StageC.Configuration()
        (c.latentChannels, c.channels, c.textChannels) = (4, 24, 8)
        (c.timestepChannels, c.depth, c.heads) = (8, 8, 3)
        let body = StageC.featureConfiguration(of: c)
        #expect(body.depth == 6 && StageC.featureChannels(of: body) == [24, 24])
        var deep = c
        deep.depth = 32
        #expect(StageC.featureChannels(of: StageC.featureConfiguration(of: deep)).count == 3)
        let stage = try StageC(configuration: body, parameters: RandomParameters(seed: 3))
        let x = Tensor.random([2, 3, 5, 4], seed: 1)
        func features(_ text: Int, _ time: Float) throws -> [Tensor] {
            try stage.features(
                x, times: [time, time],
                conditioning: stage.prepare(text: Tensor.random([2, 6, 8], seed: text)))
        }
        // As the network's own blocks leave them.
        var traced: [String: [Float]] = [:]
        _ = try stage.predict(
            x, times: [0.4, 0.4],
            conditioning: stage.prepare(text: Tensor.random([2, 6, 8], seed: 2))
        ) { traced[$0] = $1.elements }
        let found = try features(2, 0.4)
        #expect(found.map(\.shape) == [[2, 3, 5, 24], [2, 3, 5, 24]])
        #expect(found.map(\.elements) == [11, 17].map { traced["block_\($0)"] })
        #expect(try features(9, 0.4)[0].elements != found[0].elements)
        #expect(try features(2, 0.5)[0].elements != found[0].elements)
        expectError(.invalidRequest) {
            _ = try stage.features(
                x, times: [0.5],
                conditioning: stage.prepare(text: Tensor.random([2, 6, 8], seed: 2)))
        }
    }

    @Test("Stage B's features are the deepest level's, seen under its map and caption")
    func encoder() throws {
        var c = StageB.Configuration()
        (c.timestepChannels, c.conditioningChannels) = (8, 8)
        (c.channels, c.heads, c.blocks) = ([8, 16], [-1, 2], [1, 2])
        (c.blockTypes, c.injectsSemantics) = (["CT", "CTA"], [false, true])
        (c.semanticChannels, c.textChannels) = (4, 8)
        let stage = try StageB(configuration: c, parameters: RandomParameters(seed: 3))
        #expect(StageB.featureChannels(of: StageB.featureConfiguration(of: c)) == [16])
        let x = Tensor.random([2, 32, 64, 4], seed: 1)
        func conditioning(_ seed: Int) throws -> StageB.Conditioning {
            try stage.prepare(
                semantic: Tensor.random([2, 3, 6, 4], seed: seed),
                text: Tensor.random([2, 6, 8], seed: 2))
        }
        var traced: [String: [Float]] = [:]
        _ = try stage.predict(x, times: [0.4, 0.4], conditioning: conditioning(5)) {
            traced[$0] = $1.elements
        }
        let found = try stage.features(x, times: [0.4, 0.4], conditioning: conditioning(5))
        #expect(found.map(\.shape) == [[2, 8, 16, 16]])
        #expect(found[0].elements == traced["down_level_1"])
        let other = try stage.features(x, times: [0.4, 0.4], conditioning: conditioning(6))
        #expect(other[0].elements != found[0].elements)
        expectError(.invalidRequest, "prepared for") {
            _ = try stage.features(
                Tensor.random([2, 32, 32, 4], seed: 1), times: [0.4, 0.4],
                conditioning: conditioning(5))
        }
    }
}
