import TensorCore
import Wuerstchen
import _WuerstchenTestSupport

/// A tiny stage with what it is run on.
struct LoRACase: Sendable, CustomStringConvertible {
    let description: String
    /// The shapes of the weights that can be adapted, by module.
    let layers: @Sendable () throws -> [String: Shape]
    /// What the stage predicts of fixed latents, with some parameters.
    let predict: @Sendable (any ParameterSource, Precision) throws -> Tensor
    /// The same for parameters that are taken once: what is called later is the network alone.
    let load: @Sendable (any ParameterSource, Precision) throws -> @Sendable () throws -> Tensor

    private init(
        _ description: String, layers: @escaping @Sendable () throws -> [String: Shape],
        load:
            @escaping @Sendable (any ParameterSource, Precision) throws ->
            @Sendable () throws -> Tensor
    ) {
        self.description = description
        self.layers = layers
        self.load = load
        predict = { try load($0, $1)() }
    }

    static let stageC: LoRACase = {
        var c = StageC.Configuration()
        (c.latentChannels, c.channels, c.textChannels) = (4, 24, 8)
        (c.timestepChannels, c.depth, c.heads) = (8, 2, 3)
        let blueprint = StageBlueprint<StageC>(configuration: c)
        return LoRACase("Stage C", layers: { try blueprint.adaptableLayers() }) {
            let stage = try blueprint.stage($0, precision: $1)
            return {
                try stage.predictNoise(
                    .random([2, 3, 5, 4], seed: 1), times: [0.9, 0.3],
                    conditioning: stage.prepare(text: .random([2, 6, 8], seed: 2)))
            }
        }
    }()

    /// With skips and semantic latents, whose mappers are multiplied into other weights.
    static let stageB: LoRACase = {
        var c = StageB.Configuration()
        (c.channels, c.blocks, c.blockTypes) = ([16, 24, 32], [1, 1, 1], ["CT", "CT", "CTA"])
        (c.heads, c.injectsSemantics) = ([-1, -1, 2], [false, true, true])
        (c.conditioningChannels, c.textChannels) = (16, 16)
        let blueprint = StageBlueprint<StageB>(configuration: c)
        let semanticChannels = c.semanticChannels
        return LoRACase("Stage B", layers: { try blueprint.adaptableLayers() }) {
            let stage = try blueprint.stage($0, precision: $1)
            return {
                let conditioning = stage.prepare(
                    semantic: .random([2, 3, 5, semanticChannels], seed: 1),
                    text: .random([2, 6, 16], seed: 2), height: 16, width: 24, trace: nil)
                return try stage.predictNoise(
                    .random([2, 16, 24, 4], seed: 3), times: [0.9, 0.3], conditioning: conditioning)
            }
        }
    }()

    static let all = [stageC, stageB]

    /// An adapter of all layers, of various ranks and alphas.
    func lora(seed: Int, deviation: Float = 0.1, zeroUp: Bool = false) throws -> LoRA {
        var lora = LoRA()
        for (index, (module, shape)) in try layers().sorted(by: { $0.key < $1.key }).enumerated() {
            let rank = 1 + index % 3
            lora.layers[module] = LoRA.Layer(
                down: .random([rank, shape[1]], seed: seed + 2 * index, spread: deviation),
                up: zeroUp
                    ? Tensor(repeating: 0, [shape[0], rank])
                    : .random([shape[0], rank], seed: seed + 2 * index + 1),
                alpha: 0.5 * Float(rank + index % 2))
        }
        return lora
    }
}

/// The parameters of every case.
var loraBase: RandomParameters { RandomParameters(seed: 5) }
