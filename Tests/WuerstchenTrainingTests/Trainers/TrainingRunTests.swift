import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenTraining
import _WuerstchenTestSupport

@Suite("Training runs") struct TrainingRunTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func options(checkpointInterval: Double = .infinity) -> TrainingOptions {
        var options = TrainingOptions(steps: 6, batchSize: 2, peakRate: 3e-3)
        options.precision = .float32
        options.checkpointInterval = checkpointInterval
        return options
    }

    private func train(
        _ objective: Faulty, _ options: TrainingOptions? = nil, in name: String = "run",
        looksAlways: Bool = false
    ) throws {
        var run = try TrainingRun(
            objective, options ?? self.options(), in: folder.url.appendingPathComponent(name))
        if looksAlways { run.lookInterval = -1 }
        var progress = TrainingProgress(isTerminal: false) { _ in }
        _ = try run.run(resumes: run.isBegun, progress: &progress)
    }

    private func file(_ name: String, of run: String = "run") -> URL {
        folder.url.appendingPathComponent(run).appendingPathComponent(name)
    }

    private func state(of run: String = "run") throws -> TrainingState {
        try TrainingState(contentsOf: file("state.safetensors", of: run))
    }

    private func exists(_ name: String) -> Bool {
        FileManager.default.fileExists(atPath: file(name).path)
    }

    @Test(
        "what fails around the steps loses none of them",
        arguments: [Faulty.Place.images, .log, .sheet])
    fileprivate func failing(_ place: Faulty.Place) throws {
        var objective = Faulty()
        objective.fails = { [file = file("log.jsonl")] in
            guard $0 == place, $1 == 3 || place == .sheet else { return }
            if place != .log { throw Faulty.Failure() }
            // In the way of the log from now on.
            try FileManager.default.removeItem(at: file)
            try FileManager.default.createDirectory(at: file, withIntermediateDirectories: false)
        }
        if place == .log {
            expectError(.unwritableFile, "log.jsonl") {
                try train(objective, looksAlways: true)
            }
            try FileManager.default.removeItem(at: file("log.jsonl"))
        } else {
            #expect(throws: Faulty.Failure.self) {
                try train(objective, looksAlways: place == .sheet)
            }
        }
        #expect(try state().step == [.images: 3, .log: 4, .sheet: 1][place])
        try train(Faulty())
        try train(Faulty(), in: "whole")
        let (resumed, whole) = (try state(), try state(of: "whole"))
        #expect(resumed.step == 6 && resumed.loss == whole.loss)
        for (name, value) in whole.parameters.values {
            #expect(value.elements == resumed.parameters.values[name]?.elements, "\(name)")
        }
    }

    @Test("a step that broke its own parameters, or left half of them, is not saved")
    func broken() throws {
        var halfway = Faulty()
        halfway.fails = { if $0 == .finish, $1 == 3 { throw Faulty.Failure() } }
        #expect(throws: Faulty.Failure.self) { try train(halfway) }
        #expect(!exists("state.safetensors"))
        var broken = Faulty()
        broken.inner.breaksAt = 3
        expectError(.notFinite, "step 4") { try train(broken) }
        #expect(!exists("state.safetensors"))
        // What was saved before stays.
        expectError(.notFinite, "step 4") { try train(broken, options(checkpointInterval: 0)) }
        #expect(try state().step == 3)
    }

    @Test("a state that cannot be written is told as such")
    func unwritable() throws {
        var objective = Faulty()
        objective.fails = { [file = file("state.safetensors")] in
            guard $0 == .images, $1 == 3 else { return }
            try FileManager.default.createDirectory(at: file, withIntermediateDirectories: false)
        }
        expectError(.unwritableFile, "state.safetensors") { try train(objective) }
    }

    @Test("the report of a resumed run shows all of its steps")
    func report() throws {
        var interrupted = Faulty()
        interrupted.fails = { if $0 == .images, $1 == 3 { throw Faulty.Failure() } }
        #expect(throws: Faulty.Failure.self) { try train(interrupted, looksAlways: true) }
        func page() throws -> String {
            try String(contentsOf: file("report.html"), encoding: .utf8)
        }
        #expect(try page().contains("Step 3 of 6"))
        try train(Faulty())
        let text = try page()
        #expect(text.contains("Step 6 of 6") && text.contains("Training of faulty"))
        #expect(text.contains("<th>batch size</th><td>2</td>"))
        #expect(text.contains("<th>rate, warm up</th>"), "settings within settings are listed")
        let entries = try MetricsLog(file("log.jsonl"), resumingAfter: 6).entries()
        #expect(entries.count >= 4, "those before the interruption are there")
        #expect(text.contains("data:image/png;base64,") && text.contains("<svg viewBox"))
    }

    @Test("a run that was stopped at its last look is looked at when it is resumed, and once")
    func lastLook() throws {
        var interrupted = Faulty()
        interrupted.fails = { place, _ in if place == .sheet { throw CancellationError() } }
        #expect(throws: CancellationError.self) { try train(interrupted) }
        #expect(try state().step == 6)
        #expect(!exists("report.html"))
        try train(Faulty())
        #expect(exists("report.html"))
        try train(Faulty(), in: "whole")
        let logs = try ["run", "whole"].map { run in
            try #require(
                try MetricsLog(file("log.jsonl", of: run), resumingAfter: 6).entries().last)
        }
        #expect(logs[0].step == 6 && logs[0].loss == logs[1].loss)
        #expect(logs[0].metrics["validation"] != nil)
        #expect(logs[0].metrics["validation"] == logs[1].metrics["validation"])
        try FileManager.default.removeItem(at: file("report.html"))
        try train(Faulty())
        #expect(!exists("report.html"), "it was looked at before")
    }
}

/// Learns as ``TinyStageC`` does, until something fails.
private struct Faulty: TrainingObjective {
    struct Failure: Error {}

    enum Place: Sendable {
        case images, finish, log, sheet
    }

    let name = "faulty"
    var inner = TinyStageC()
    /// Called at a place, with the number of the step where that is known, to fail there.
    var fails: @Sendable (Place, Int) throws -> Void = { _, _ in }

    func initialParameters(seed: UInt64) throws -> TrainableParameters {
        try inner.initialParameters(seed: seed)
    }

    func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        try fails(.images, step.number)
        try fails(.log, step.number)
        return try inner.loss(parameters, step)
    }

    func finish(
        _ parameters: inout TrainableParameters, _ step: TrainingStep, _ losses: [TrainingLoss]
    ) throws {
        try fails(.finish, step.number)
    }

    var validation: Faulty? { Faulty() }

    func contactSheet(_ parameters: [String: Tensor]) throws -> ContactSheet? {
        try fails(.sheet, 0)
        var sheet = ContactSheet(imageSide: 32)
        try sheet.addRow("noise", NoiseImages().batch(0, count: 1).pixels)
        return sheet
    }
}
