import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// One group of blocks of the published Stage C, with weights that repeat.
@Suite("LoRA at published widths") struct PublishedLoRATests {
    /// Weights of any shape that are parts of one tensor.
    private struct RepeatedParameters: ParameterSource {
        let origin = "repeated parameters"
        let names: Set<String>? = nil
        private let numbers: Tensor = {
            let block = Tensor.random([1 << 16], seed: 1, spread: 0.03)
            return .concatenating([Tensor](repeating: block, count: 145))
        }()

        func parameter(_ request: ParameterRequest) -> FoundParameter {
            .found(numbers[0..<request.shape.count].reshaped(to: request.shape))
        }
    }

    @Test("an adapter is read into the weights and beside them, and run")
    func oneStep() throws {
        var configuration = StageC.Configuration()
        configuration.depth = 1
        let blueprint = StageBlueprint<StageC>(configuration: configuration)
        var lora = LoRA()
        for (number, (module, shape)) in try blueprint.adaptableLayers()
            .sorted(by: { $0.key < $1.key }).enumerated() where module.hasPrefix("blocks.")
        {
            lora.layers[module] = LoRA.Layer(
                down: .random([4, shape[1]], seed: number, spread: 0.02),
                up: .random([shape[0], 4], seed: number, spread: 0.2))
        }
        #expect(lora.layers.count == 8)
        #expect(lora.layers["blocks.2.attention.to_q"]?.down.shape == [4, 1536])
        let base = RepeatedParameters()
        let adapted = AdaptedParameters(base, [.init(lora)])
        func predict(_ source: any ParameterSource) throws -> Tensor {
            let stage = try blueprint.stage(source, precision: .bfloat16)
            return try stage.predictNoise(
                .random([1, 3, 4, 16], seed: 1), times: [0.7],
                conditioning: stage.prepare(text: .random([1, 4, 1280], seed: 2)))
        }
        let (plain, merged) = (try predict(base), try predict(MergedParameters(adapted)))
        let beside = try predict(adapted)
        func distance(_ a: Tensor, _ b: Tensor) -> Double {
            Difference(a.elements, b.doubles).normalizedSquare
        }
        #expect(merged.isFinite && distance(plain, merged) > 1e-3)
        #expect(distance(beside, merged) < 0.1 * distance(plain, merged))
    }
}
