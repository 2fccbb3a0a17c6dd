import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenNN
import WuerstchenTraining
import _WuerstchenTestSupport

/// Training adapters beside networks that stay as they are.
@Suite("Training of LoRA") struct LoRAObjectiveTests {
    /// A stage whose last layer is not zero, so that gradients reach what lies before it.
    private func frozen() throws -> [String: Tensor] {
        var parameters = TrainableParameters()
        try parameters.add("stage_c", from: RandomParameters(seed: 5)) {
            _ = try StageC(configuration: TinyStageC.configuration, parameters: $0)
        }
        return parameters.values
    }

    private func objective(
        _ configuration: LoRAConfiguration = LoRAConfiguration(rank: 2)
    ) throws -> LoRAObjective<TinyStageC> {
        LoRAObjective(TinyStageC(), frozen: try frozen(), adapters: ["stage_c": configuration])
    }

    private func options(_ steps: Int, _ precision: Precision = .float32) -> TrainingOptions {
        var options = TrainingOptions(steps: steps, batchSize: 2, peakRate: 3e-3, averageDecay: 0.5)
        options.precision = precision
        options.rate = LearningRate(peak: 3e-3, final: 3e-3, warmUp: 1, steps: 100)
        return options
    }

    @Test("training begins as the base, bit for bit", arguments: [Precision.float32, .bfloat16])
    func start(precision: Precision) throws {
        var adapted = try Trainer(objective(), options(1, precision))
        var whole = try Trainer(TinyStageC(), options(1, precision), start: frozen())
        #expect(try adapted.next()?.loss == whole.next()?.loss)
    }

    @Test("A and B alone learn, and the loss falls", arguments: [Precision.float32, .bfloat16])
    func learns(precision: Precision) throws {
        let objective = try objective()
        var trainer = try Trainer(objective, options(40, precision))
        let initial = trainer.state.parameters.values
        #expect(initial.keys.allSatisfy { LoRA.module(ofAdapter: $0) != nil })
        var losses: [Double] = []
        while let report = try trainer.next() { losses.append(report.loss) }
        let early: Double = losses.prefix(10).reduce(0, +)
        let late: Double = losses.suffix(10).reduce(0, +)
        #expect(late < 0.95 * early, "\(losses)")
        for (name, value) in trainer.state.parameters.values {
            #expect(
                (value.elements != initial[name]?.elements) == LoRA.isFactor(name), "\(name)")
        }
        #expect(trainer.state.optimizer.memories.keys.allSatisfy(LoRA.isFactor))
    }

    /// dB = dW·Aᵀ and dA = Bᵀ·dW, with dW of a network that learns as a whole.
    @Test("gradients are those of the merged weights", arguments: [Precision.float32, .bfloat16])
    func gradients(precision: Precision) throws {
        let frozen = try frozen()
        var adapters = try objective().initialParameters(seed: 1).values
        for name in adapters.keys where name.hasSuffix("lora_B.weight") {
            let shape = try #require(adapters[name]).shape
            adapters[name] = Tensor.random(shape, seed: 7, spread: 0.1)
        }
        let leaves = adapters.mapValues { $0.tracked() }
        func loss(_ values: [String: Tensor]) throws -> Gradients {
            let step = TrainingStep(
                number: 0, count: 1, batchSize: 2, precision: precision, random: RandomStream(3))
            return try TinyStageC().loss(StepParameters(fixed: values), step).value.gradients()
        }
        let found = try loss(frozen.merging(leaves) { $1 })
        let lora = LoRA(in: adapters)
        var merged = frozen
        for (module, layer) in lora.layers {
            let name = module + ".weight"
            let weight = try #require(frozen[name])
            let request = ParameterRequest(name, weight.shape)
            let source = MergedParameters(
                AdaptedParameters(ParameterValues(frozen), [.init(LoRA([module: layer]))]))
            guard case .found(let value) = try source.parameter(request) else { continue }
            merged[name] = value.tracked()
        }
        let whole = try loss(merged)
        let tolerance = precision == .float32 ? 1e-4 : 5e-2
        for (module, layer) in lora.layers {
            let weight = try #require(merged[module + ".weight"])
            let full = try #require(whole[weight]).reshaped(
                to: [layer.up.shape[0], layer.down.shape[1]])
            let scale = layer.alpha / Float(layer.rank)
            func product(_ a: Tensor, _ b: Tensor) -> Tensor {
                a.reshaped(to: [1, a.shape[0], a.shape[1]]).linear(b.matrixTransposed())
                    .reshaped(to: [a.shape[0], b.shape[1]]).scaled(by: scale)
            }
            for (suffix, want) in [
                ("lora_A.weight", product(layer.up.matrixTransposed(), full)),
                ("lora_B.weight", product(full, layer.down.matrixTransposed())),
            ] {
                let leaf = try #require(leaves["\(module).\(suffix)"])
                let got = try #require(found[leaf], "\(module).\(suffix)")
                let error = Double((got - want).squareSum().squareRoot())
                let length = Double(want.squareSum().squareRoot())
                #expect(error <= tolerance * length, "\(module).\(suffix): \(error) of \(length)")
            }
        }
    }

    @Test("a training that was stopped goes on to the same numbers")
    func resumes() throws {
        let folder = try TemporaryFolder()
        let file = folder.url.appendingPathComponent("state.safetensors")
        var whole = try Trainer(objective(), options(6))
        while try whole.next() != nil {}
        var first = try Trainer(objective(), options(6), file: file)
        for _ in 0..<3 { _ = try first.next() }
        try first.save()
        var second = try Trainer(objective(), options(6), file: file, resumes: true)
        while try second.next() != nil {}
        #expect(
            second.state.parameters.values.mapValues(\.elements)
                == whole.state.parameters.values.mapValues(\.elements))
        // Another base is another training, and so is another rank.
        var other = try frozen()
        other["stage_c.out.1.bias"] = Tensor.random([8], seed: 9)
        let strangers = [
            LoRAObjective(
                TinyStageC(), frozen: other, adapters: ["stage_c": LoRAConfiguration(rank: 2)]),
            try objective(LoRAConfiguration(rank: 3)),
        ]
        for stranger in strangers {
            #expect(throws: WuerstchenError.self) {
                _ = try Trainer(stranger, options(6), file: file, resumes: true)
            }
        }
    }

    @Test("layers are chosen by role and by name")
    func layers() throws {
        func modules(_ layers: LoRALayers) throws -> Set<String> {
            let parameters = try objective(LoRAConfiguration(rank: 64, layers: layers))
                .initialParameters(seed: 0)
            return Set(LoRA(in: parameters.values, scope: "stage_c").layers.keys)
        }
        let attention = try modules(.attention)
        #expect(attention.contains("blocks.2.attention.to_out.0"))
        #expect(attention.count == 8)
        let all = try modules(.all)
        #expect(all.isSuperset(of: attention))
        #expect(all.contains("blocks.1.mapper"))
        #expect(!all.contains("projection") && !all.contains("out.1"))
        #expect(try modules(LoRALayers(roles: [.outputWeight])) == ["out.1"])
        #expect(try modules(LoRALayers(["blocks.*.to_k", "cond_*.2"])).count == 3)
        #expect(throws: WuerstchenError.self) { try modules(LoRALayers(["nothing"])) }
        // Factors are never larger than the weight.
        let lora = LoRA(
            in: try objective(LoRAConfiguration(rank: 64)).initialParameters(seed: 0).values,
            scope: "stage_c")
        #expect(lora.layers["blocks.1.mapper"]?.rank == 4)
        #expect(lora.layers["blocks.1.mapper"]?.alpha == 4)
    }

    @Test("weights that do not fit are refused by name")
    func misfits() throws {
        var frozen = try frozen()
        frozen["stage_c.out.1.bias"] = Tensor([0], [1])
        let objective = LoRAObjective(
            TinyStageC(), frozen: frozen, adapters: ["stage_c": LoRAConfiguration()])
        let error = #expect(throws: WuerstchenError.self) {
            try objective.initialParameters(seed: 0)
        }
        #expect(error?.message.contains("stage_c.out.1.bias") == true)
    }
}
