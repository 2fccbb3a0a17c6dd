import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// That the cases are what they say, and that the networks give their losses.
@Suite("Cases of gradients") struct GradientCasesTests {
    @Test(arguments: GradientCase.names)
    func everyWeightHasItsGradient(_ name: String) throws {
        let test = try GradientCase(name)
        #expect(!test.purpose.isEmpty && !test.parameters.isEmpty)
        guard test.loss != nil else { return }
        let buffers = ["running_mean", "running_var", "num_batches_tracked"]
        for (name, parameter) in test.parameters
        where !buffers.contains(where: { name.hasSuffix($0) }) {
            let gradient = try #require(test.gradients[name], "\(name)")
            #expect(gradient.shape == parameter.shape, "\(name)")
            let isZero = gradient.elements.allSatisfy { $0 == 0 }
            #expect(isZero == test.zeroGradients.contains(name), "\(name)")
        }
        #expect(Set(test.gradients.keys).isSubset(of: test.parameters.keys))
        for (name, gradient) in test.inputGradients {
            #expect(gradient.shape == test.inputs[name]?.shape, "\(name)")
            #expect(gradient.elements.contains { $0 != 0 }, "\(name)")
        }
    }

    @Test func lossOfStageC() throws {
        let test = try GradientCase("stage_c")
        let stage = try StageC(configuration: test.configuration(), parameters: test)
        let noise = try stage.predictNoise(
            test.map("x"), times: test.input("times").elements,
            conditioning: stage.prepare(text: test.input("text")))
        try expectNoiseLoss(noise, of: test)
    }

    @Test func lossOfStageB() throws {
        let test = try GradientCase("stage_b")
        let stage = try StageB(configuration: test.configuration(), parameters: test)
        let x = try test.map("x")
        let conditioning = stage.prepare(
            semantic: try test.map("effnet"), text: try test.input("clip"), height: x.shape[1],
            width: x.shape[2], trace: nil)
        let noise = try stage.predictNoise(
            x, times: test.input("times").elements, conditioning: conditioning)
        try expectNoiseLoss(noise, of: test)
    }

    @Test func lossOfStageA() throws {
        let test = try GradientCase("stage_a_decoder")
        let stage = try StageA(configuration: test.configuration(), parameters: test)
        let image = try test.map("image")
        let decoded = try stage.decode(unscaled: stage.encode(image))
        try expectLoss(meanSquare(decoded.elements, image.elements), of: test)
    }

    @Test func lossOfText() throws {
        let test = try GradientCase("text")
        let model = try CLIPTextModel(configuration: test.configuration(), parameters: test)
        let states = try model(
            ids: test.rows("ids"), mask: test.rows("mask").map { $0.map { $0 != 0 } })
        let products = zip(states.elements, try test.input("factors").elements)
        try expectLoss(
            products.reduce(0) { $0 + Double($1.0 * $1.1) } / Double(states.count), of: test)
    }

    /// The mean of the pictures' mean square errors, each times its weight.
    private func expectNoiseLoss(_ predicted: Tensor, of test: GradientCase) throws {
        let wanted = try test.map("noise")
        let weights = try test.input("weights").elements
        let loss = weights.enumerated().reduce(0) { sum, weight in
            let picture = weight.offset..<weight.offset + 1
            let error = meanSquare(predicted[picture].elements, wanted[picture].elements)
            return sum + Double(weight.element) * error
        }
        try expectLoss(loss / Double(weights.count), of: test)
    }

    private func expectLoss(_ loss: Double, of test: GradientCase) throws {
        let wanted = Double(try #require(test.loss))
        #expect(abs(loss - wanted) < 2e-6 * abs(wanted), "\(loss), expected \(wanted)")
    }

    private func meanSquare(_ got: [Float], _ want: [Float]) -> Double {
        zip(got, want).reduce(0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) } / Double(want.count)
    }
}
