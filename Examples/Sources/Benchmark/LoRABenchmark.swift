import Wuerstchen

/// A forward pass of Stage C at the published widths with few blocks: by itself, with adapters in
/// its weights, and with adapters beside them.
enum LoRABenchmark {
    static let rank = 16

    static func run(_ precision: Precision, _ table: inout ResultTable) throws {
        let blueprint = StageBlueprint<StageC>(configuration: StageC.shallow)
        let base = RandomParameters(seed: StageC.seed)
        let adapted = AdaptedParameters(base, [.init(try lora(blueprint))])
        let variants: [(String, any ParameterSource)] = [
            ("no LoRA", base), ("LoRA merged", MergedParameters(adapted)), ("LoRA beside", adapted),
        ]
        for (name, parameters) in variants {
            let forward = try blueprint.stage(parameters, precision: precision)
                .forward(side: 24, batch: 1)
            try table.measureTime("Stage C of 2 groups, \(name)", precision) { _ = try forward() }
        }
    }

    /// An adapter of every layer that usually gets one.
    private static func lora(_ blueprint: StageBlueprint<StageC>) throws -> LoRA {
        let layers = try blueprint.adaptableLayers().filter { $0.key.hasPrefix("blocks.") }
        return LoRA(
            Dictionary(
                uniqueKeysWithValues: layers.map { module, shape in
                    (
                        module,
                        LoRA.Layer(
                            down: random(module, [rank, shape[1]]),
                            up: random(module, [shape[0], rank]))
                    )
                }))
    }
}
