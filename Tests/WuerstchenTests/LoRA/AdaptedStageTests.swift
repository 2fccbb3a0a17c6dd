import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// Adapters in the weights of a stage and beside them.
@Suite("Adapted stages") struct AdaptedStageTests {
    typealias Adapter = AdaptedParameters.Adapter

    /// Ratio of signal to noise in decibels.
    private func ratio(_ got: Tensor, _ want: Tensor) -> Double {
        -10 * log10(Difference(got.elements, want.doubles).normalizedSquare)
    }

    /// The last layer makes what is divided by, which enlarges the roundings.
    @Test("every layer of the stages can be adapted", arguments: LoRACase.all)
    func everyLayer(test: LoRACase) throws {
        let base = try test.predict(loraBase, .float32)
        for (module, layer) in try test.lora(seed: 100, deviation: 0.5).layers {
            let adapted = AdaptedParameters(loraBase, [Adapter(LoRA([module: layer]))])
            let got = try test.predict(adapted, .float32)
            #expect(ratio(got, base) < 120, "\(module) changes nothing")
            #expect(
                ratio(got, try test.predict(MergedParameters(adapted), .float32)) > 60, "\(module)")
        }
    }

    @Test(
        "several adapters beside the weights give what they give in them", arguments: LoRACase.all)
    func mergedAndBeside(test: LoRACase) throws {
        let adapters = [
            Adapter(try test.lora(seed: 100), scale: UpdateScale(0.75)),
            Adapter(try test.lora(seed: 500), scale: UpdateScale(-0.5)),
        ]
        let adapted = AdaptedParameters(loraBase, adapters)
        let merged = MergedParameters(adapted)
        let base = try test.predict(loraBase, .float32)
        let exact = try test.predict(merged, .float32)
        #expect(ratio(exact, base) < 20, "the adapters hardly change anything")
        for (precision, least) in [(Precision.float32, 90.0), (.bfloat16, 35), (.int8, 25)] {
            let got = try test.predict(adapted, precision)
            #expect(got.isFinite && ratio(got, exact) > least, "\(precision): \(ratio(got, exact))")
        }
    }

    @Test(
        "adapters that are zero, or do not count, change no bit", arguments: LoRACase.all,
        Precision.allCases)
    func zero(test: LoRACase, precision: Precision) throws {
        let base = try test.predict(loraBase, precision)
        let zero = Adapter(try test.lora(seed: 100, zeroUp: true))
        let silent = Adapter(try test.lora(seed: 100), scale: UpdateScale(0))
        for adapter in [zero, silent] {
            let adapted = AdaptedParameters(loraBase, [adapter])
            #expect(try test.predict(adapted, precision).elements == base.elements)
            #expect(
                try test.predict(MergedParameters(adapted), precision).elements == base.elements)
        }
    }

    @Test("the scale changes while a network is in use", arguments: LoRACase.all)
    func scale(test: LoRACase) throws {
        let (lora, scale) = (try test.lora(seed: 100), UpdateScale())
        let network = try test.load(
            AdaptedParameters(loraBase, [Adapter(lora, scale: scale)]), .float32)
        let base = try test.predict(loraBase, .float32)
        for value: Float in [1, 0.5, 2, 0] {
            scale.value = value
            let merged = MergedParameters(
                AdaptedParameters(loraBase, [Adapter(lora, scale: UpdateScale(value))]))
            let got = try network()
            if value == 0 {
                #expect(got.elements == base.elements)
            } else {
                let ratio = ratio(got, try test.predict(merged, .float32))
                #expect(ratio > 90, "\(value): \(ratio)")
            }
        }
    }

    @Test("an adapter of another shape is refused by name")
    func misshapen() throws {
        let test = LoRACase.stageC
        let layer = LoRA.Layer(down: .random([2, 23], seed: 1), up: .random([24, 2], seed: 2))
        let adapted = AdaptedParameters(
            loraBase, [Adapter(LoRA(["blocks.2.attention.to_q": layer]))])
        let error = #expect(throws: WuerstchenError.self) { try test.predict(adapted, .float32) }
        #expect(error?.code == .incompatibleParameters)
        #expect(error?.message.contains("blocks.2.attention.to_q") == true)
    }
}
