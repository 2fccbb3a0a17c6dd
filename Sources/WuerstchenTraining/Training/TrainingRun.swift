public import Foundation
public import TensorCore

/// A training run in a folder of its own: the state it goes on from, a log, and a page with the
/// curves of the log, the settings and images of what the run makes.
///
/// In the folder are `state.safetensors`, `log.jsonl` and `report.html`.
public struct TrainingRun<Objective: TrainingObjective>: Sendable {
    /// What is trained.
    public let objective: Objective
    /// The settings.
    public let options: TrainingOptions
    /// The run's folder.
    public let folder: URL
    /// The processes that share the steps: those of the task that makes the run. Only the first
    /// writes anything but the folder's lock.
    public var communicator = ProcessGroup.current
    /// Seconds between looks at validation images and sheets.
    public var lookInterval: Double = 180
    /// Whether a training that begins writes over files that no training wrote.
    public var replacesForeignFiles = false

    /// Called with the averages of the parameters after each checkpoint, also that of a run that is
    /// stopped; to export them.
    public var whenSaved: (@Sendable ([String: Tensor]) throws -> Void)?

    /// A run in a folder, which is made if it is not there when the run begins.
    ///
    /// - Throws: What options and objective are refused with.
    public init(_ objective: Objective, _ options: TrainingOptions, in folder: URL) throws {
        try options.validate()
        try objective.validate()
        self.objective = objective
        self.options = options
        self.folder = folder
    }

    /// The file that training goes on from.
    public var stateFile: URL { folder.appendingPathComponent("state.safetensors") }

    /// Whether there is a training in the folder that could be resumed.
    public var isBegun: Bool { FileManager.default.fileExists(atPath: stateFile.path) }

    /// Trains to the end. A run whose last step is done, but not the look at what came of it, is
    /// looked at.
    ///
    /// - Parameters:
    ///   - resumes: Whether to go on where an earlier run in the folder stopped.
    ///   - start: Parameters to begin with in place of initial ones.
    ///   - progress: Where to report.
    /// - Returns: The averages of the parameters, by name, in every process.
    /// - Throws: ``EndedTogether`` in other processes than the first when all end early;
    ///   `CancellationError` when the task is cancelled, and what ``Trainer/next()``,
    ///   looking at results and writing files throw; all after saving the state, unless it was the
    ///   step itself that gave no numbers. Before the first step `unwritableFile` when another
    ///   process trains in the folder, or when a training that begins finds files in it that it
    ///   would write over.
    public func run(
        resumes: Bool, start: [String: Tensor] = [:], progress: inout TrainingProgress
    ) throws -> [String: Tensor] {
        // A training that cannot begin leaves no folder behind.
        if resumes, communicator.process.isFirst { try requireTraining(at: stateFile) }
        let lock = try FolderLock(folder, for: communicator.process)
        defer { withExtendedLifetime(lock) {} }
        if communicator.process.isFirst, !replacesForeignFiles {
            try requireNothingForeign(in: folder)
        }
        var trainer = try Trainer(
            objective, options, file: stateFile, resumes: resumes, start: start,
            communicator: communicator)
        guard communicator.process.isFirst else {
            do {
                while try trainer.next() != nil {}
            } catch let error as EndedTogether {
                try trainer.end(error)
                throw error
            }
            return trainer.state.average.values
        }
        return try train(&trainer, &progress)
    }

    /// Trains to the end, in the process that reports.
    private func train(
        _ trainer: inout Trainer<Objective>, _ progress: inout TrainingProgress
    ) throws -> [String: Tensor] {
        let log: MetricsLog
        do {
            log = try MetricsLog(
                folder.appendingPathComponent("log.jsonl"), resumingAfter: trainer.state.step)
        } catch {
            try trainer.end(error, saves: false)
            throw error
        }
        if !trainer.isFullyCompared {
            progress.note(
                "\(stateFile.path) was written before all settings were recorded: whether data, "
                    + "networks and the objective's settings are those that it was begun with cannot "
                    + "be compared")
        }
        var lastLook = ContinuousClock.now
        var lastLog = ContinuousClock.now - .seconds(60)
        do {
            if trainer.isFinished, try log.entries().last?.step != trainer.state.step {
                var report = TrainingReport(
                    step: trainer.state.step, total: options.steps,
                    loss: trainer.state.loss.map(Double.init) ?? .nan)
                try look(&report, trainer.state, log, &progress)
                progress.show(report)
            }
            while var report = try trainer.next() {
                if trainer.savedStep == trainer.state.step {
                    try whenSaved?(trainer.state.average.values)
                }
                let now = ContinuousClock.now
                if trainer.isFinished || (now - lastLook).seconds > lookInterval {
                    try look(&report, trainer.state, log, &progress)
                    lastLook = .now
                    lastLog = .now
                    trainer.skipPause()
                } else if (now - lastLog).seconds > 2 {
                    try log.append(report)
                    lastLog = now
                }
                progress.show(report)
            }
        } catch let error as CancellationError {
            try trainer.end(error)
            if trainer.isSound { try whenSaved?(trainer.state.average.values) }
            throw error
        } catch {
            // An image that cannot be read or a log that cannot be written takes nothing from the
            // steps since the last checkpoint. If they cannot be saved either, the cause is what
            // counts.
            try? trainer.end(error)
            throw error
        }
        progress.finish()
        return trainer.state.average.values
    }

    /// Looks at what the parameters do, and adds that to a report and the report to the log. What
    /// the log has of the last step thus says that there was a look at it.
    private func look(
        _ report: inout TrainingReport, _ state: TrainingState, _ log: MetricsLog,
        _ progress: inout TrainingProgress
    ) throws {
        let parameters = state.average.values
        if let loss = try validationLoss(parameters) {
            report.metrics.append(TrainingReport.Metric("validation", Double(loss)))
        }
        let measured = try objective.measurements(parameters)
        report.metrics += measured.sorted { $0.key < $1.key }.map {
            TrainingReport.Metric($0.key, Double($0.value))
        }
        let sheet = try objective.contactSheet(parameters)
        try log.append(report)
        let entries = try log.entries()
        let warnings = objective.warnings(entries)
        for warning in warnings { progress.note("step \(state.step): \(warning)") }
        let page = try RunReport(
            name: objective.name, steps: options.steps,
            settings: RunReport.settings(state.settings ?? TrainingSettings()),
            entries: entries, sheet: sheet, warnings: warnings
        ).page()
        try page.write(to: folder.appendingPathComponent("report.html"))
    }

    /// The mean loss of a few fixed batches that are not learnt from.
    private func validationLoss(_ parameters: [String: Tensor]) throws -> Float? {
        guard let validation = objective.validation else { return nil }
        let fixed = StepParameters(fixed: parameters)
        let batches = 4
        return try (0..<batches).reduce(Float(0)) { sum, number in
            let step = TrainingStep(
                number: number, count: 1, batchSize: options.batchSize,
                precision: options.precision, random: RandomStream(0, 4, UInt64(number)))
            let loss = try withoutGradients { try validation.loss(fixed, step).value }
            return sum + loss.elements[0] / Float(batches)
        }
    }
}
