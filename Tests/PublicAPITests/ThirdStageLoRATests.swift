import TensorCore
import Testing
import Wuerstchen
import WuerstchenNN
import WuerstchenTraining

/// Adapters for a stage that knows nothing of them.
@Suite("LoRA of a stage of one's own") struct ThirdStageLoRATests {
    @Test("adapters learn beside it, and give the same in its weights")
    func trainAndMerge() throws {
        var options = TrainingOptions(steps: 60, batchSize: 16, peakRate: 1e-2)
        options.precision = .float32
        var base = try Trainer(TinyObjective(), options)
        while try base.next() != nil {}
        let frozen = base.state.parameters
        let scope = TinyStage.scope
        var training = try Trainer(
            LoRAObjective(
                TinyObjective(), frozen: frozen.values,
                adapters: [scope: LoRAConfiguration(rank: 2)]), options)
        while try training.next() != nil {}
        let lora = LoRA(in: training.state.parameters.values, scope: scope)
        #expect(Set(lora.layers.keys) == ["condition.mapper", "hidden"])

        let parameters = ParameterValues(frozen.scope(scope))
        let adapted = AdaptedParameters(parameters, [.init(lora)])
        let blueprint = TinyObjective().noise.blueprint
        func predict(_ source: any ParameterSource) throws -> [Float] {
            let x = Tensor((0..<8).map { Float($0) / 8 }, [1, 2, 2, 2])
            return try blueprint.stage(source)
                .predict(x, times: [0.4], conditioning: TinyStage.words(["up"])).elements
        }
        let (plain, beside) = (try predict(parameters), try predict(adapted))
        let merged = try predict(MergedParameters(adapted))
        #expect(beside != plain)
        for (a, b) in zip(beside, merged) { #expect(abs(a - b) < 1e-4) }
    }
}
