import TensorCore
import Testing
import Wuerstchen
import WuerstchenNN
import WuerstchenTraining

/// Gradients with respect to a network's inputs where nothing of the network is learnt, against the
/// reference's.
@Suite("Gradients through frozen networks as in the reference") struct FrozenNetworkTests {
    /// The allowed length of a difference, relative to the gradient's: as for networks that learn,
    /// and what a network of bfloat16 is off by.
    private func tolerance(_ precision: Precision) -> Double {
        precision == .float32 ? 1e-4 : 3e-2
    }

    private func check(
        _ name: String, _ precision: Precision,
        _ loss: (GradientCase, ParameterValues, [String: Tensor]) throws -> Tensor
    ) throws {
        let test = try GradientCase(name)
        let inputs = try Dictionary(
            uniqueKeysWithValues: test.inputGradients.keys.map {
                ($0, try test.input($0).tracked())
            }
        )
        #expect(!inputs.isEmpty)
        let frozen = try loss(test, ParameterValues(test.parameters), inputs).gradients()
        let leaves = test.parameters.mapValues { $0.tracked() }
        let tracked = try loss(test, ParameterValues(leaves), inputs).gradients()
        for (name, input) in inputs {
            let found = try #require(frozen[input], "\(name)")
            for expected in [
                try #require(test.inputGradients[name]), try #require(tracked[input]),
            ] {
                let error = (found - expected).squareSum().squareRoot()
                let length = expected.squareSum().squareRoot()
                #expect(error <= tolerance(precision) * length, "\(name): \(error) of \(length)")
            }
        }
    }

    @Test("Stage C", arguments: [Precision.float32, .bfloat16])
    func stageC(precision: Precision) throws {
        try check("stage_c", precision) { test, parameters, inputs in
            let stage = try StageC(
                configuration: test.configuration(), parameters: parameters, precision: precision)
            let (x, text) = (try #require(inputs["x"]), try #require(inputs["text"]))
            let predicted = try stage.predictNoise(
                x.channelsLast(), times: test.input("times").elements,
                conditioning: stage.prepare(text: text))
            return (predicted - (try test.map("noise"))).meanSquare(
                weights: try test.input("weights").elements)
        }
    }

    @Test("Stage A, from pixels to pixels", arguments: [Precision.float32, .bfloat16])
    func stageA(precision: Precision) throws {
        try check("stage_a_decoder", precision) { test, parameters, inputs in
            let stage = try StageA(
                configuration: test.configuration(), parameters: parameters, precision: precision)
            let image = try #require(inputs["image"])
            let decoded = try stage.decode(unscaled: stage.encode(image.channelsLast()))
            return (decoded - image.channelsLast()).meanSquare()
        }
    }

    @Test("8-bit networks refuse")
    func int8() throws {
        let test = try GradientCase("stage_c")
        let stage = try StageC(
            configuration: test.configuration(), parameters: ParameterValues(test.parameters),
            precision: .int8)
        let predicted = try stage.predictNoise(
            test.map("x").tracked(), times: test.input("times").elements,
            conditioning: stage.prepare(text: test.input("text")))
        let error = #expect(throws: WuerstchenError.self) {
            try predicted.meanSquare().gradients()
        }
        #expect(error?.code == .invalidRequest)
    }
}
