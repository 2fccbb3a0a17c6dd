public import Foundation
public import TensorCore

/// Trains a part of a cascade, step by step, and goes on where it was stopped.
///
/// Everything that the next step depends on is in the state, which is saved as one file: a run that
/// was killed goes on from the last checkpoint to the same numbers, bit for bit.
public struct Trainer<Objective: TrainingObjective> {
    /// What is trained.
    public let objective: Objective
    /// The settings, with the shards that the training was begun with.
    public let options: TrainingOptions
    /// What changes from step to step.
    public internal(set) var state: TrainingState
    /// Whether all settings are those that the training was begun with. Older files have so few
    /// that the rest is taken on trust once, and recorded from then on.
    public let isFullyCompared: Bool
    let file: URL?
    let communicator: any Communicator
    /// Which process moves which parameters, and has what of the state.
    let owners: StateOwners
    /// The parameters in as many parts as there are shards, where those send their gradients as
    /// bfloat16.
    let roundedParts: ParameterParts?
    private let retention = BufferPool.Retention()
    /// Whether ``state`` is what a whole step left, all of it numbers.
    private(set) var isSound = true
    private var lastCheckpoint = ContinuousClock.now
    /// Whether all processes know why the training ended early.
    var hasEndedTogether = false
    /// The step whose state ``next()`` saved last; nil before the first.
    private(set) var savedStep: Int?
    private var pace = TrainingPace()
    /// How many seconds it took to sum the last step's gradients over processes, and to bring all
    /// what each has moved, and for how many of them nothing was computed; nil for one process.
    var reductionTime: (all: Double, waited: Double)?
    /// The parameters that the last step had gradients of, in the order in which they came, where
    /// there are several processes.
    var arrivals: [String] = []
    /// A smoothed loss, to notice when it explodes.
    private var usualLoss: Float?

    /// A run that begins, or goes on.
    ///
    /// - Parameters:
    ///   - objective: What is trained.
    ///   - options: The settings.
    ///   - file: Where the state is kept; nil to keep it in memory alone. Of several processes only
    ///     the first reads and writes it.
    ///   - resumes: Whether to go on from the file. Otherwise a file that is there is an error, so
    ///     that no work is overwritten. All ``TrainingSettings`` of objective and options must be
    ///     those that it was begun with; there may be more steps.
    ///   - start: Parameters to begin with in place of initial ones, by name; all others are new.
    ///   - communicator: The processes that share the steps.
    /// - Throws: ``EndedTogether`` in other processes than the first where all refuse to begin;
    ///   `WuerstchenError` when the settings make no sense, when processes are not alike, when
    ///   there is a state that is not to be resumed or none where one is, or when it was begun with
    ///   other settings, which are named with both values.
    public init(
        _ objective: Objective, _ options: TrainingOptions, file: URL? = nil,
        resumes: Bool = false, start: [String: Tensor] = [:],
        communicator: any Communicator = SingleProcess()
    ) throws {
        try options.validate()
        try objective.validate()
        let file = communicator.process.isFirst ? file : nil
        self.objective = objective
        self.file = file
        self.communicator = communicator
        let begun = resumes ? try file.map(Self.begunState) : nil
        var options = options
        options.shards = try communicator.shards(options, resuming: begun)
        try options.validate()
        self.options = options
        let settings = TrainingSettings(objective, options, start: start)
        try communicator.requireAlike(settings)
        var parameters = try objective.initialParameters(seed: options.seed)
        (owners, roundedParts) = Self.owners(
            of: parameters, objective, options, communicator.process)
        if let begun, let file {
            state = begun
            try state.require(objective.name, settings, in: file)
            try state.complete(parameters, options.optimizer, roundedParts, in: file)
            isFullyCompared = state.settings != nil
            (state.peakRate, state.precision) = (options.rate.peak, options.precision)
            let start = state.settings?["start"]
            state.settings = settings
            // That of the first time; what it was is not known of older files.
            if let start { state.settings?["start"] = start }
        } else {
            if let file, FileManager.default.fileExists(atPath: file.path) {
                throw WuerstchenError(
                    .invalidRequest,
                    "\(file.path) is there already; resume it, or choose another folder")
            }
            let strange = start.filter { parameters.values[$0]?.shape != $1.shape }
                .map { "\($0) of shape \($1.shape)" }.sorted()
            guard strange.isEmpty else {
                throw WuerstchenError(
                    .incompatibleParameters,
                    "\(objective.name) has no parameter \(strange.prefix(4).joined(separator: ", "))"
                        + (strange.count > 4 ? " and \(strange.count - 4) more" : "")
                        + " to begin with")
            }
            parameters.values.merge(start) { $1 }
            state = TrainingState(
                objective: objective.name, parameters: parameters, options, settings)
            isFullyCompared = true
        }
        try state.take(from: communicator, owners: owners)
    }

    /// Which process has what, and how gradients are rounded.
    private static func owners(
        of parameters: TrainableParameters, _ objective: Objective, _ options: TrainingOptions,
        _ process: ProcessRank
    ) -> (StateOwners, ParameterParts?) {
        let sizes = parameters.values.filter { objective.isTrainable($0.key) }.mapValues(\.count)
        let parts = ParameterParts(sizes, count: process.count)
        let isRounded = options.gradientPrecision == .bfloat16 && options.shards != nil
        return (
            StateOwners(parameters: parts, shards: options.parts),
            isRounded ? ParameterParts(sizes, count: options.parts) : nil
        )
    }

    /// The state of a training that is gone on with.
    private static func begunState(_ file: URL) throws -> TrainingState {
        try requireTraining(at: file)
        return try TrainingState(contentsOf: file)
    }

    /// A run whose steps are only measured, somewhere in the middle of a training.
    ///
    /// - Parameters:
    ///   - objective: What is trained.
    ///   - options: The settings.
    ///   - process: Which process takes the steps, of those that share them.
    /// - Throws: What building networks throws.
    init(measuring objective: Objective, _ options: TrainingOptions, as process: ProcessRank) throws
    {
        var options = options
        options.steps = max(options.steps, 4)
        (self.objective, self.options) = (objective, options)
        (file, communicator, isFullyCompared) = (nil, AlikeProcesses(process: process), true)
        let parameters = try objective.initialParameters(seed: options.seed)
        (owners, roundedParts) = Self.owners(of: parameters, objective, options, process)
        state = TrainingState(
            objective: objective.name, parameters: parameters, options, TrainingSettings())
        state.step = options.steps / 2
    }

    /// Whether all steps are done.
    public var isFinished: Bool { state.step >= options.steps }

    /// Takes the next step.
    ///
    /// - Returns: What to report, or nil when all steps are done.
    /// - Throws: `CancellationError` when the task is cancelled, ``EndedTogether`` in other
    ///   processes than the first when all end, or `WuerstchenError`: `notFinite` with step and
    ///   layer when loss or gradients are not numbers or the loss explodes, and what data, networks
    ///   and files throw. The last checkpoint stays good. After loss or gradients that were not
    ///   numbers there is no going on but from there.
    public mutating func next() throws -> TrainingReport? {
        guard !isFinished else { return nil }
        guard isSound else {
            throw WuerstchenError(
                .invalidRequest,
                "training \(objective.name): step \(state.step + 1) failed before; go on from the last "
                    + "checkpoint")
        }
        // Of several processes all stop at the same step, when they next hear of each other.
        if communicator.process.count == 1 { try Task.checkCancellation() }
        let start = ContinuousClock.now
        let step = self.step(part: 0)
        let (losses, gradients, statistics) = try options.shards == nil ? averages() : sharded()
        let (value, metrics) = averages(of: losses)
        let sizes = try self.sizes(of: gradients)
        let norm = sizes.norm
        isSound = false
        try together { try $0.check(value, sizes, step) }
        let (rate, objective) = (options.rate[step.number], objective)
        options.optimizer.update(
            &state.parameters, &state.optimizer, gradients.own,
            scale: norm > options.clippingNorm ? options.clippingNorm / norm : 1,
            precision: options.precision
        ) { rate * objective.rateFactor($0) }
        try shareMoved(gradients.names)
        for (name, value) in statistics {
            // PyTorch's momentum.
            state.parameters.values[name]?.move(towards: value, by: 0.1)
        }
        try together { try objective.finish(&$0.state.parameters, step, losses) }
        state.average.update(state.parameters.values)
        state.step += 1
        state.loss = value
        isSound = true
        let seconds = (ContinuousClock.now - start).seconds
        state.seconds += seconds
        let isDue =
            file != nil
            && (isFinished
                || (ContinuousClock.now - lastCheckpoint).seconds > options.checkpointInterval)
        if try write(where: isDue) {
            lastCheckpoint = .now
            savedStep = state.step
        }
        pace.countStep(images: options.batchSize)
        return TrainingReport(
            step: state.step, total: options.steps, loss: Double(value),
            metrics: (metrics + [("gradient", norm)]).map {
                TrainingReport.Metric($0.0, Double($0.1))
            }
                + (reductionTime.map {
                    [
                        TrainingReport.Metric("seconds of reduction", $0.all),
                        TrainingReport.Metric("seconds waiting for it", $0.waited),
                    ]
                } ?? []),
            imagesPerSecond: pace.imagesPerSecond,
            timeLeft: pace.time(for: options.steps - state.step))
    }

    /// Says that time has passed since the last step that was not training.
    mutating func skipPause() { pace.skip() }

    /// A part of the next step.
    func step(part index: Int) -> TrainingStep {
        let number = UInt64(state.step)
        return TrainingStep(
            number: state.step, count: options.steps,
            batch: state.step * options.parts + index,
            batchSize: options.batchSize / options.parts, precision: options.precision,
            random: index == 0
                ? RandomStream(options.seed, 1, number)
                : RandomStream(options.seed, 1, number, UInt64(index)))
    }

    /// The losses of the next step's parts, and the averages of their gradients and of what batch
    /// norms saw in them.
    typealias Averages = (
        losses: [TrainingLoss], gradients: StepGradients, statistics: [String: Tensor]
    )

    /// The averages over micro-batches, one after the other.
    private func averages() throws -> Averages {
        var losses: [TrainingLoss] = []
        var (gradients, statistics) = (RunningMean(), RunningMean())
        for index in 0..<options.microBatches {
            var part: [String: Tensor] = [:]
            let found = try self.gradients(of: step(part: index)) { part[$0] = $1 }
            losses.append(found.loss)
            gradients.add(part)
            statistics.add(found.statistics)
        }
        return (
            losses, StepGradients(own: gradients.means(over: options.microBatches)),
            statistics.means()
        )
    }

    /// The averages of losses and their metrics over all parts.
    private func averages(of losses: [TrainingLoss]) -> (loss: Float, metrics: [(String, Float)]) {
        // No metric has an empty name.
        var mean = RunningMean()
        for loss in losses {
            mean.add(loss.metrics.mapValues { Tensor([$0], []) })
            mean.add(["": loss.value])
        }
        var numbers = mean.means().mapValues { $0.elements[0] }
        let value = numbers.removeValue(forKey: "") ?? .nan
        return (value, numbers.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
    }

    /// Computes a loss, and hands over its gradients.
    ///
    /// In a function of its own, so that everything tracked is gone when parameters change in
    /// place.
    ///
    /// - Parameters:
    ///   - step: The part of a step.
    ///   - take: Gets the gradients, each as soon as it is whole.
    /// - Returns: The loss, and what batch norms saw.
    /// - Throws: What data, networks and `take` throw.
    func gradients(
        of step: TrainingStep, _ take: (_ name: String, _ gradient: Tensor) throws -> Void
    ) throws -> (loss: TrainingLoss, statistics: [String: Tensor]) {
        let parameters = StepParameters(state.parameters.values, isTrainable: objective.isTrainable)
        var loss = try objective.loss(parameters, step)
        try loss.value.gradients(
            of: parameters.leaves.filter { objective.isTrainable($0.key) }, take)
        loss.value = loss.value.detached()
        return (loss, parameters.batchStatistics)
    }

    private mutating func check(
        _ loss: Float, _ sizes: GradientSizes, _ step: TrainingStep
    ) throws {
        let norm = sizes.norm
        let usual = usualLoss ?? loss
        let explodes = step.number > 100 && abs(loss) > 1000 * abs(usual)
        if loss.isFinite, norm.isFinite, !explodes {
            usualLoss = usual + 0.05 * (loss - usual)
            return
        }
        let broken = state.parameters.values.keys.sorted().filter {
            state.parameters.values[$0]?.isFinite == false
        }
        let steep = sizes.squares.filter(\.value.isNaN).keys.sorted()
        let largest = sizes.squares.max { $0.value < $1.value }?.key
        let culprit =
            broken.first.map { "the parameter \($0) is not a number" }
            ?? steep.first.map { "the gradient of \($0) is not a number" }
            ?? largest.map { "the largest gradient is that of \($0)" } ?? "there are no gradients"
        throw WuerstchenError(
            .notFinite,
            "training \(objective.name), step \(step.number + 1): the loss is \(loss) and the "
                + "gradients' length \(norm); \(culprit). Train anew with a lower learning rate; the "
                + "last checkpoint's parameters are good to begin with")
    }
}
