import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenTraining
import _WuerstchenTestSupport

@Suite("Training") struct TrainerTests {
    private func options(steps: Int, _ precision: Precision = .float32) -> TrainingOptions {
        var options = TrainingOptions(steps: steps, batchSize: 3, peakRate: 3e-3)
        options.precision = precision
        options.checkpointInterval = 0
        return options
    }

    private func expectSame(_ a: TrainingState, _ b: TrainingState) {
        #expect(a.step == b.step)
        #expect(a.parameters.values.keys.sorted() == b.parameters.values.keys.sorted())
        for (name, value) in a.parameters.values {
            #expect(value.elements == b.parameters.values[name]?.elements, "\(name)")
            #expect(a.average.values[name]?.elements == b.average.values[name]?.elements)
            let (one, two) = (a.optimizer.memories[name], b.optimizer.memories[name])
            #expect(one?.count == two?.count)
            #expect(
                one?.tensors.mapValues(\.elements) == two?.tensors.mapValues(\.elements), "\(name)")
        }
    }

    @Test("a run that was stopped goes on to the same bits", arguments: [1, 4])
    func resuming(_ stop: Int) throws {
        let folder = try TemporaryFolder()
        let file = folder.url.appendingPathComponent("state.safetensors")
        var whole = try Trainer(TinyStageC(), options(steps: 7))
        while try whole.next() != nil {}
        var first = try Trainer(TinyStageC(), options(steps: 7), file: file)
        for _ in 0..<stop { _ = try first.next() }
        var second = try Trainer(TinyStageC(), options(steps: 7), file: file, resumes: true)
        #expect(second.state.step == stop)
        while try second.next() != nil {}
        #expect(second.isFinished)
        expectSame(whole.state, second.state)
        expectSame(whole.state, try TrainingState(contentsOf: file))
    }

    @Test("the loss falls, in either precision", arguments: [Precision.float32, .bfloat16])
    func learning(_ precision: Precision) throws {
        var trainer = try Trainer(TinyStageC(), options(steps: 120, precision))
        var losses: [Double] = []
        while let report = try trainer.next() { losses.append(report.loss) }
        let (early, late) = (losses.prefix(10).reduce(0, +), losses.suffix(10).reduce(0, +))
        #expect(late < 0.85 * early, "\(early / 10) to \(late / 10)")
    }

    @Test("activations computed anew give the same steps, bit for bit")
    func recomputing() throws {
        var kept = try Trainer(TinyStageC(), options(steps: 4))
        var anew = try Trainer(TinyStageC(recomputes: true), options(steps: 4))
        while try kept.next() != nil {}
        while try anew.next() != nil {}
        expectSame(kept.state, anew.state)
    }

    @Test("threads change nothing")
    func threads() throws {
        func train() throws -> TrainingState {
            var trainer = try Trainer(TinyStageC(), options(steps: 3))
            while try trainer.next() != nil {}
            return trainer.state
        }
        let count = Threads.count
        defer { Threads.count = count }
        Threads.count = 1
        let alone = try train()
        Threads.count = 5
        expectSame(alone, try train())
    }

    @Test("a loss that is no number stops with step and parameter, and the checkpoint stays")
    func breaking() throws {
        let folder = try TemporaryFolder()
        let file = folder.url.appendingPathComponent("state.safetensors")
        var trainer = try Trainer(TinyStageC(breaksAt: 2), options(steps: 5), file: file)
        for _ in 0..<2 { _ = try trainer.next() }
        let error = #expect(throws: WuerstchenError.self) { _ = try trainer.next() }
        #expect(error?.code == .notFinite)
        #expect(error?.message.contains("step 3") == true)
        #expect(error?.message.contains("stage_c.") == true)
        let saved = try TrainingState(contentsOf: file)
        #expect(saved.step == 2)
        #expect(saved.parameters.values.values.allSatisfy { $0.isFinite })
        // The parameters may be what is broken.
        expectError(.invalidRequest, "checkpoint") { _ = try trainer.next() }
    }

    @Test("work is not overwritten, and other files are not taken for a state")
    func files() throws {
        let folder = try TemporaryFolder()
        let file = folder.url.appendingPathComponent("state.safetensors")
        var trainer = try Trainer(TinyStageC(), options(steps: 2), file: file)
        while try trainer.next() != nil {}
        let before = try Data(contentsOf: file)
        #expect(throws: WuerstchenError.self) {
            _ = try Trainer(TinyStageC(), options(steps: 2), file: file)
        }
        var other = options(steps: 2)
        other.seed = 9
        let refused = #expect(throws: WuerstchenError.self) {
            _ = try Trainer(TinyStageC(), other, file: file, resumes: true)
        }
        #expect(refused?.message.contains("seed 0 (not 9)") == true)
        #expect(try Data(contentsOf: file) == before)
        try Safetensors.write([], to: file)
        let error = #expect(throws: WuerstchenError.self) {
            _ = try Trainer(TinyStageC(), options(steps: 2), file: file, resumes: true)
        }
        #expect(error?.code == .malformedFile)
        try Data("nothing".utf8).write(to: file)
        #expect(throws: WuerstchenError.self) {
            _ = try Trainer(TinyStageC(), options(steps: 2), file: file, resumes: true)
        }
    }

    @Test("settings that would make it another training are refused, and more steps are not")
    func changedSettings() throws {
        let folder = try TemporaryFolder()
        let file = folder.url.appendingPathComponent("state.safetensors")
        var trainer = try Trainer(TinyStageC(), options(steps: 2), file: file)
        while try trainer.next() != nil {}
        let before = try Data(contentsOf: file)
        let changes: [(String, (inout TrainingOptions) -> Void)] = [
            ("seed 0 (not 9)", { $0.seed = 9 }),
            ("batch size 3 (not 4)", { $0.batchSize = 4 }),
            ("rate, peak 0.003 (not 0.002)", { $0.rate.peak = 2e-3 }),
            ("rate, final 3.0000001e-05 (not 0)", { $0.rate.final = 0 }),
            ("clipping norm 1 (not 2)", { $0.clippingNorm = 2 }),
            ("micro batches 1 (not 2)", { ($0.microBatches, $0.batchSize) = (2, 4) }),
            ("epsilon 1e-08 (not 0.1)", { $0.optimizer = AdamW(epsilon: 0.1) }),
            ("betas, first 0.9 (not 0.5)", { $0.optimizer = AdamW(betas: (0.5, 0.95)) }),
            ("steps 2 (not 1)", { ($0.steps, $0.rate.steps) = (1, 1) }),
            ("optimizer, weight decay 0.01 (not 0)", { $0.weightDecay = 0 }),
            ("optimizer, name adamw (not muon)", { $0.optimizer = Muon() }),
            ("average decay 0.998 (not 0.5)", { $0.averageDecay = 0.5 }),
            ("precision float32 (not bfloat16)", { $0.precision = .bfloat16 }),
        ]
        for (words, change) in changes {
            var other = options(steps: 4)
            change(&other)
            expectError(.invalidRequest, words, file.path) {
                _ = try Trainer(TinyStageC(), other, file: file, resumes: true)
            }
        }
        #expect(try Data(contentsOf: file) == before)
        var longer = try Trainer(TinyStageC(), options(steps: 4), file: file, resumes: true)
        while try longer.next() != nil {}
        #expect(longer.state.step == 4)
    }

    @Test("files of before rate, precision and loss were recorded are resumed, and record them")
    func olderFiles() throws {
        let folder = try TemporaryFolder()
        let file = folder.url.appendingPathComponent("state.safetensors")
        var first = try Trainer(TinyStageC(), options(steps: 3), file: file)
        for _ in 0..<2 { _ = try first.next() }
        #expect(try TrainingState(contentsOf: file).loss == first.state.loss)
        // Names of the same length that mean nothing.
        var data = try Data(contentsOf: file)
        for name in ["peakRate", "precision", #"\"loss\""#] {
            let place = try #require(data.range(of: Data(name.utf8)))
            data[place.lowerBound + (name.hasPrefix("\\") ? 2 : 0)] = UInt8(ascii: "x")
        }
        try data.write(to: file)
        let old = try TrainingState(contentsOf: file)
        #expect(old.peakRate == nil && old.precision == nil && old.loss == nil)
        var second = try Trainer(TinyStageC(), options(steps: 3), file: file, resumes: true)
        while try second.next() != nil {}
        let new = try TrainingState(contentsOf: file)
        #expect(new.peakRate == 3e-3 && new.precision == .float32 && new.loss != nil)
    }

    @Test("more memory is kept for reuse as long as there is a trainer")
    func memory() async {
        // In a process of its own, where no other trainer is.
        await #expect(processExitsWith: .success) {
            let usual = BufferPool.shared.slack
            let options = TrainingOptions(steps: 1, batchSize: 1, peakRate: 1e-3)
            var trainers: [Trainer<TinyStageC>] = []
            for _ in 0..<2 { trainers.append(try Trainer(TinyStageC(), options)) }
            trainers.removeLast()
            guard BufferPool.shared.slack > usual else { exit(EXIT_FAILURE) }
            trainers.removeLast()
            guard BufferPool.shared.slack == usual else { exit(EXIT_FAILURE) }
        }
    }

    @Test("a checkpoint that cannot be written is an error")
    func unwritable() throws {
        let folder = try TemporaryFolder()
        let file = folder.url.appendingPathComponent("no/such/folder/state.safetensors")
        var trainer = try Trainer(TinyStageC(), options(steps: 2), file: file)
        let error = #expect(throws: WuerstchenError.self) { _ = try trainer.next() }
        #expect(error?.code == .unwritableFile)
    }

    @Test("settings that make no sense are refused by name")
    func settings() {
        let changes: [(String, (inout TrainingOptions) -> Void)] = [
            ("0 steps", { $0.steps = 0 }), ("\(Int.max) steps", { $0.steps = .max }),
            ("0 images", { $0.batchSize = 0 }), ("\(Int.max) images", { $0.batchSize = .max }),
            ("int8", { $0.precision = .int8 }),
            ("a learning rate of nan", { $0.rate.peak = .nan }),
            ("a learning rate of inf", { $0.rate.peak = .infinity }),
            ("a learning rate of -1.0", { $0.rate.peak = -1 }),
            ("of which 1.0 stays", { $0.averageDecay = 1 }),
            ("of which nan stays", { $0.averageDecay = .nan }),
            ("a norm of 0.0", { $0.clippingNorm = 0 }),
            ("a weight decay of -0.5", { $0.weightDecay = -0.5 }),
            ("a weight decay of inf", { $0.weightDecay = .infinity }),
            ("every -1.0 seconds", { $0.checkpointInterval = -1 }),
            ("every nan seconds", { $0.checkpointInterval = .nan }),
            ("of \(Int.max) steps", { $0.rate.steps = .max }),
            ("of \(Int.min) steps", { $0.rate.steps = .min }),
            ("over \(Int.max) of", { $0.rate.warmUp = .max }),
            ("over \(Int.min) of", { $0.rate.warmUp = .min }),
            ("\(Int.max) equal micro-batches", { $0.microBatches = .max }),
            ("\(Int.min) equal micro-batches", { $0.microBatches = .min }),
            ("-1 shards", { $0.shards = -1 }),
        ]
        for (words, change) in changes {
            var options = options(steps: 2)
            change(&options)
            expectError(.invalidRequest, words) { try options.validate() }
            expectError(.invalidRequest, words) { _ = try Trainer(TinyStageC(), options) }
        }
        for steps in [Int.max, .min] {
            #expect(throws: WuerstchenError.self) {
                _ = try Trainer(TinyStageC(), options(steps: steps))
            }
        }
    }

    @Test("a cancelled run saves its state and says so")
    func cancelling() async throws {
        let folder = try TemporaryFolder()
        let options = TrainingOptions(steps: 1000, batchSize: 3, peakRate: 1e-3)
        let run = try TrainingRun(TinyStageC(), options, in: folder.url)
        // Cancelled by itself, at what it first shows: another task might have to wait for a thread
        // until all steps are done.
        let task = Task.detached {
            var progress = TrainingProgress(isTerminal: false, interval: .zero) { _ in
                withUnsafeCurrentTask { $0?.cancel() }
            }
            _ = try run.run(resumes: false, progress: &progress)
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try TrainingState(contentsOf: run.stateFile).step == 1)
    }
}
