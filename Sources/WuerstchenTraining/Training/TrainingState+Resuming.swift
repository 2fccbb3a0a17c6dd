internal import Foundation
internal import TensorCore

extension TrainingSettings {
    /// The settings of a training.
    ///
    /// - Parameters:
    ///   - objective: What is trained.
    ///   - options: How.
    ///   - start: What it begins with in place of initial parameters.
    init(_ objective: some TrainingObjective, _ options: TrainingOptions, start: [String: Tensor]) {
        self.init(of: options)
        // Which an optimiser may compute.
        add(options.optimizer.name, at: "optimizer.name")
        add(options.weightDecay, at: "optimizer.weightDecay")
        // As of trainings from before there were any.
        if options.shards == nil { self["shards"] = nil }
        if options.gradientPrecision == .float32 { self["gradientPrecision"] = nil }
        add(objective, at: "objective")
        self["start"] = .text(start.isEmpty ? "none" : SettingsDigest(of: start).description)
    }
}

extension TrainingState {
    /// What is known of the settings that the training was begun with: all of them, or the few that
    /// older files have.
    private var begun: TrainingSettings {
        var result = settings ?? TrainingSettings()
        result.add(seed, at: "seed")
        result.add(batchSize, at: "batchSize")
        result.add(microBatches, at: "microBatches")
        if let peakRate { result.add(peakRate, at: "rate.peak") }
        result.add(optimizerName, at: "optimizer.name")
        result.add(weightDecay, at: "optimizer.weightDecay")
        result.add(average.decay, at: "averageDecay")
        if let precision { result.add(precision, at: "precision") }
        return result
    }

    /// Refuses to go on with other settings than the training was begun with, which would make it
    /// another one. There may be more steps; the rate then follows a longer curve.
    ///
    /// - Parameters:
    ///   - objective: What is trained now.
    ///   - asked: The settings of now.
    ///   - file: The state's file.
    /// - Throws: `WuerstchenError` with code `invalidRequest`.
    func require(_ objective: String, _ asked: TrainingSettings, in file: URL) throws {
        guard self.objective == objective else {
            throw WuerstchenError(
                .invalidRequest,
                "\(file.path) is the state of training \(self.objective), not \(objective)")
        }
        let begun = begun
        var free: Set<String> = []
        if case .number(let before) = begun["steps"], case .number(let now) = asked["steps"],
            now > before
        {
            free = ["steps", "rate.steps", "rate.warmUp"]
        }
        // Nothing said about the start is no other start: it lies behind.
        if asked["start"] == .text("none") { free.insert("start") }
        let differences = begun.differences(from: asked) {
            !free.contains($0) && (settings != nil || begun[$0] != nil)
        }
        guard differences.isEmpty else {
            let shown = differences.prefix(12).joined(separator: ", ")
            let rest = differences.count > 12 ? " and \(differences.count - 12) more" : ""
            throw WuerstchenError(
                .invalidRequest,
                "\(file.path) was begun with \(shown)\(rest); resume it as it was begun, or it "
                    + "would be another training")
        }
    }

    /// Takes over what a file does not know, and makes sure that the rest belongs to a training.
    ///
    /// - Parameters:
    ///   - initial: The initial parameters of the training.
    ///   - optimizer: The training's optimiser.
    ///   - rounded: The parameters in as many parts as shards, where gradients are rounded.
    ///   - file: The state's file.
    /// - Throws: `WuerstchenError` that names the parameters at fault.
    mutating func complete(
        _ initial: TrainableParameters, _ optimizer: any Optimizer, _ rounded: ParameterParts?,
        in file: URL
    ) throws {
        let names = Set(parameters.values.keys).union(initial.values.keys).sorted()
        let unlike = names.filter { parameters.values[$0]?.shape != initial.values[$0]?.shape }
        guard unlike.isEmpty else {
            let list = unlike.prefix(6).map { name in
                func text(_ tensor: Tensor?) -> String { tensor.map { "\($0.shape)" } ?? "none" }
                return "\(name) \(text(parameters.values[name])) "
                    + "(not \(text(initial.values[name])))"
            }.joined(separator: ", ")
            throw WuerstchenError(
                .incompatibleParameters,
                "\(file.path) has other parameters than this training, \(unlike.count) such as "
                    + "\(list); resume it as it was begun")
        }
        parameters.roles = initial.roles
        for (name, memory) in self.optimizer.memories {
            let kinds = optimizer.tensorKinds(
                of: initial.roles[name], initial.values[name]?.shape ?? [])
            guard kinds == Set(memory.tensors.keys) else {
                throw WuerstchenError(
                    .malformedFile,
                    "\(file.path): of \(name) there are \(memory.tensors.keys.sorted()), and "
                        + "\(optimizer.name) remembers \(kinds.sorted())")
            }
            let senders = rounded?.others(than: name) ?? []
            let found = gradientErrors.filter { $0.value[name] != nil }.keys.sorted()
            guard senders == found else {
                throw WuerstchenError(
                    .malformedFile,
                    "\(file.path): of \(name) there is what rounding took from shards \(found), and "
                        + "it takes from \(senders)")
            }
        }
    }
}
