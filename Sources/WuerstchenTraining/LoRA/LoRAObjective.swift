public import TensorCore
public import WuerstchenNN

/// Any objective, learnt by low-rank adapters alone: its networks stay as they are, and beside some
/// of their layers A and B learn (Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models",
/// 2021).
///
/// B begins with zeros, so that the first step sees the networks as they were, bit for bit. The
/// gradients pass through frozen weights, of which there are none. The state of such a training
/// holds the adapters and what else the objective learns, such as a discriminator, not the
/// networks.
public struct LoRAObjective<Base: TrainingObjective>: TrainingObjective {
    /// What is learnt.
    public var base: Base
    /// The adapters, by the scope of the network that they are of, such as `stage_c`.
    public var adapters: [String: LoRAConfiguration] { configurations.values }
    /// The networks' parameters, under their scopes.
    public let frozen: [String: Tensor]
    private let configurations: AdapterSettings

    /// An objective that adapters learn.
    ///
    /// - Parameters:
    ///   - base: What is learnt.
    ///   - frozen: The parameters of networks that stay as they are, each under its scope; see
    ///     ``TrainableParameters/init(_:under:)``. What is missing learns as a whole, such as a new
    ///     last layer.
    ///   - adapters: The adapters of networks, by their scopes.
    public init(
        _ base: Base, frozen: [String: Tensor], adapters: [String: LoRAConfiguration]
    ) {
        self.base = base
        self.frozen = frozen
        configurations = AdapterSettings(values: adapters)
    }

    /// The part's name, with `-lora` behind it.
    public var name: String { base.name + "-lora" }

    /// Refuses what the objective refuses, and adapters that make no sense.
    public func validate() throws {
        try base.validate()
        for configuration in adapters.values { try configuration.validate() }
    }

    /// A and B of all adapters, and what the objective learns besides the frozen networks.
    public func initialParameters(seed: UInt64) throws -> TrainableParameters {
        let whole = try base.initialParameters(seed: seed)
        var result = TrainableParameters()
        var strange: [String] = []
        for (name, value) in whole.values {
            guard let fixed = frozen[name] else {
                result.values[name] = value
                result.roles[name] = whole.roles[name]
                continue
            }
            if fixed.shape != value.shape {
                strange.append("\(name) \(fixed.shape) (not \(value.shape))")
            }
        }
        guard strange.isEmpty else {
            throw WuerstchenError(
                .incompatibleParameters,
                "\(strange.count) frozen parameters do not fit \(base.name), such as "
                    + "\(strange.sorted().prefix(4).joined(separator: ", ")); take those of the "
                    + "networks that it is configured for")
        }
        let source = InitialParameters(seed: seed)
        for (scope, configuration) in adapters {
            let prefix = scope + "."
            var lora = LoRA()
            for (name, role) in whole.roles where name.hasPrefix(prefix) {
                guard frozen[name] != nil, let shape = whole.values[name]?.shape else { continue }
                let request = ParameterRequest(
                    String(name.dropFirst(prefix.count)), shape, role: role)
                let found = try configuration.layer(request, from: source)
                if let found { lora.layers[found.module] = found.layer }
            }
            guard !lora.layers.isEmpty else {
                throw WuerstchenError(
                    .invalidRequest,
                    "no layer of \(scope) is named like "
                        + "\(configuration.layers.patterns.joined(separator: " or "))")
            }
            for (name, value) in lora.values {
                result.values[prefix + name] = value
                result.roles[prefix + name] = LoRA.isFactor(name) ? .weight : .statistic
            }
        }
        return result
    }

    /// The adapters learn, and of the objective's own what it lets learn.
    public func isTrainable(_ name: String) -> Bool {
        LoRA.module(ofAdapter: name) == nil ? base.isTrainable(name) : LoRA.isFactor(name)
    }

    /// As the objective has it for what is not an adapter.
    public func rateFactor(_ name: String) -> Float {
        LoRA.module(ofAdapter: name) == nil ? base.rateFactor(name) : 1
    }

    /// The objective's loss, its networks adapted.
    public func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        try base.loss(parameters.adding(fixed: frozen), step)
    }

    /// What the objective does, on what is learnt.
    public func finish(
        _ parameters: inout TrainableParameters, _ step: TrainingStep, _ losses: [TrainingLoss]
    ) throws {
        let names = Set(parameters.values.keys)
        parameters.values.merge(frozen) { own, _ in own }
        try base.finish(&parameters, step, losses)
        parameters.values = parameters.values.filter { names.contains($0.key) }
    }

    /// As the objective does.
    public func checkpointingActivations() -> LoRAObjective? {
        base.checkpointingActivations().map {
            LoRAObjective($0, frozen: frozen, adapters: adapters)
        }
    }

    /// The same over what is not learnt from.
    public var validation: LoRAObjective? {
        base.validation.map { LoRAObjective($0, frozen: frozen, adapters: adapters) }
    }

    /// The objective's, of the adapted networks.
    public func measurements(_ parameters: [String: Tensor]) throws -> [String: Float] {
        try base.measurements(adapted(parameters))
    }

    /// What the objective warns of.
    public func warnings(_ log: [MetricsLog.Entry]) -> [String] { base.warnings(log) }

    /// The objective's, of the adapted networks.
    public func contactSheet(_ parameters: [String: Tensor]) throws -> ContactSheet? {
        try base.contactSheet(adapted(parameters))
    }

    /// The networks' parameters with those of a training beside them.
    private func adapted(_ parameters: [String: Tensor]) -> [String: Tensor] {
        frozen.merging(parameters) { $1 }
    }
}

extension LoRA {
    /// The adapter of the network of a scope among the parameters of a training.
    public init(in parameters: [String: Tensor], scope: String) {
        self.init(in: TrainableParameters(parameters).scope(scope))
    }
}

/// The adapters of a training, as settings of their own rather than one digest.
private struct AdapterSettings: Sendable, CustomTrainingSettings {
    let values: [String: LoRAConfiguration]

    var trainingSettings: TrainingSettings {
        var result = TrainingSettings()
        for (scope, adapter) in values {
            result.add(adapter.rank, at: "\(scope).rank")
            result.add(adapter.alpha ?? Float(adapter.rank), at: "\(scope).alpha")
            result.add(adapter.layers.patterns, at: "\(scope).layers")
            result.add(adapter.layers.roles.map { "\($0)" }.sorted(), at: "\(scope).roles")
        }
        return result
    }
}
