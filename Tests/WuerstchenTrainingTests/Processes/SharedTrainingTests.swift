import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@testable import WuerstchenTraining

/// Trainings that several processes, here threads, share.
@Suite("Shared training") struct SharedTrainingTests {
    private func options(_ steps: Int = 20, shards: Int? = 4, batch: Int = 8) -> TrainingOptions {
        var options = TrainingOptions(steps: steps, batchSize: batch, peakRate: 1e-2)
        options.precision = .float32
        options.shards = shards
        options.checkpointInterval = 0
        return options
    }

    @Test("each process remembers its part of the parameters, and the file has all of it")
    func memories() throws {
        let folder = try TemporaryFolder()
        for optimizer in [AdamW(), Muon()] as [any Optimizer] {
            var asked = options(3)
            asked.optimizer = optimizer
            let alone = try trainTogether(TinyStageC(), asked, on: 1)[0]
            func numbers(_ state: TrainingState) -> Int {
                state.optimizer.memories.values.flatMap(\.tensors.values).reduce(0) {
                    $0 + $1.count
                }
            }
            for processes in [1, 2, 4] {
                let file = folder.url.appendingPathComponent("\(optimizer.name)-\(processes)")
                let states = try trainTogether(TinyStageC(), asked, on: processes, file: file)
                expectSame(alone, try TrainingState(contentsOf: file))
                // Parts end with whole tensors.
                let most = states.map(numbers).max() ?? 0
                #expect(most < numbers(alone) * (processes + 1) / processes / 2 || processes == 1)
                #expect(states.map(numbers).reduce(0, +) == numbers(alone))
                let again = try trainTogether(
                    TinyStageC(), asked, on: 2, file: file, resumes: true)
                #expect(again.map(numbers).reduce(0, +) == numbers(alone))
            }
        }
    }

    @Test("a state that cannot be written ends all, and nobody waits for the first")
    func unwritable() throws {
        let folder = try TemporaryFolder()
        let url = folder.url
        let results = try ThreadGroup.run(4) { member in
            var run = try TrainingRun(TinyStageC(), self.options(), in: url)
            run.communicator = member
            let file = run.stateFile
            run.whenSaved = { _ in
                try FileManager.default.removeItem(at: file)
                try FileManager.default.createDirectory(
                    at: file, withIntermediateDirectories: false)
            }
            var progress = TrainingProgress(isTerminal: false) { _ in }
            _ = try run.run(resumes: false, progress: &progress)
        }
        expectError(.unwritableFile, "is a folder") { try results[0].get() }
        for other in results.dropFirst() {
            #expect(throws: EndedTogether.self) { try other.get() }
        }
    }

    @Test("one, two and four processes come to the same bits in a Stage C")
    func stageC() throws { try expectAlike(TinyStageC(), options()) }

    @Test("and in a Stage B whose compressor, with its batch norms, learns along")
    func stageB() throws {
        try expectAlike(tinyStageB(images: NoiseImages(side: 128)), options(2, batch: 4))
    }

    @Test("and in a Stage A, whose codes begin with latents of all processes and count theirs")
    func stageA() throws {
        var objective = tinyStageA(images: NoiseImages())
        objective.unquantizedShare = 0.4
        try expectAlike(objective, options(5))
    }

    @Test("and in a distillation")
    func distillation() throws {
        let teacher = try TinyTeacher()
        let folder = try TemporaryFolder()
        try teacher.maker().make(16, in: folder.url)
        let (student, start) = try teacher.student()
        try expectAlike(
            FlowObjective(
                student, couplings: try Couplings(contentsOf: folder.url), times: .uniform),
            options(), start: start)
    }

    @Test("a run goes on in another number of processes, with the shards that it was begun with")
    func resuming() throws {
        let folder = try TemporaryFolder()
        let file = folder.url.appendingPathComponent("state.safetensors")
        let whole = try trainTogether(TinyStageC(), options(), on: 1)[0]
        _ = try trainTogether(TinyStageC(), options(), on: 2, file: file, until: 7)
        let asked = options(shards: nil)
        _ = try trainTogether(TinyStageC(), asked, on: 4, file: file, resumes: true, until: 13)
        let end = try trainTogether(TinyStageC(), asked, on: 1, file: file, resumes: true)[0]
        expectSame(whole, end)
        #expect(end.settings?["shards"] == .number(4))
        expectError(.invalidRequest, "shards 4 (not 8)") {
            _ = try trainTogether(
                TinyStageC(), options(shards: 8), on: 1, file: file, resumes: true)
        }
    }

    @Test("shards are chosen where nobody names any, and what cannot be shared is refused")
    func shards() throws {
        let chosen = try trainTogether(TinyStageC(), options(1, shards: nil, batch: 12), on: 2)
        #expect(chosen.allSatisfy { $0.settings?["shards"] == .number(4) })
        #expect(
            try trainTogether(TinyStageC(), options(1, shards: nil), on: 1)[0].settings?["shards"]
                == nil)
        for (processes, asked, word) in [
            (1, options(shards: 3), "3 shards"), (1, options(shards: 16), "16 shards"),
            (8, options(shards: 4), "8 processes"), (3, options(shards: 4), "3 processes"),
        ] {
            let results = try ThreadGroup.run(processes) {
                _ = try Trainer(TinyStageC(), asked, communicator: $0)
            }
            expectError(.invalidRequest, word) { try results[0].get() }
            for other in results.dropFirst() {
                #expect(throws: EndedTogether.self) { try other.get() }
            }
        }
        var both = options()
        both.microBatches = 2
        expectError(.invalidRequest, "micro-batches") { _ = try Trainer(TinyStageC(), both) }
        // Begun by one process alone.
        let folder = try TemporaryFolder()
        let file = folder.url.appendingPathComponent("state.safetensors")
        _ = try trainTogether(TinyStageC(), options(shards: nil), on: 1, file: file, until: 2)
        let results = try ThreadGroup.run(2) {
            _ = try Trainer(
                TinyStageC(), self.options(shards: nil), file: file, resumes: true,
                communicator: $0)
        }
        expectError(.invalidRequest, "begun without shards") { try results[0].get() }
    }

    @Test("two shards are what two micro-batches are, to the bit")
    func microBatches() throws {
        var parts = options(5, shards: nil)
        parts.microBatches = 2
        expectSame(
            try trainTogether(TinyStageC(), parts, on: 1)[0],
            try trainTogether(TinyStageC(), options(5, shards: 2), on: 1)[0])
    }

    @Test("summed as it comes, gradients are the same but for rounding, and in all processes")
    func fast() throws {
        var asked = options(3)
        asked.reduction = .fast
        let ordered = try trainTogether(TinyStageC(), options(3), on: 4)[0]
        let states = try trainTogether(TinyStageC(), asked, on: 4)
        for state in states {
            var state = state
            state.optimizer = states[0].optimizer
            expectSame(states[0], state)
        }
        for (name, value) in ordered.parameters.values {
            let other = try #require(states[0].parameters.values[name])
            #expect((value - other).meanSquare().elements[0] < 1e-8, "\(name)")
        }
    }

    /// Fails in one process.
    private struct Failing: TrainingObjective {
        var base = TinyStageC()
        @Incidental var isFailing = false
        @Incidental var isCancelled = false
        var name: String { base.name }

        func initialParameters(seed: UInt64) throws -> TrainableParameters {
            try base.initialParameters(seed: seed)
        }

        func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
            if step.number == 3, isCancelled { throw CancellationError() }
            if step.number == 3, isFailing {
                throw WuerstchenError(.unreadableFile, "x.png cannot be read")
            }
            return try base.loss(parameters, step)
        }
    }

    @Test("what goes wrong in one process ends all, and the first says what it was")
    func failure() throws {
        for isCancelled in [false, true] {
            let folder = try TemporaryFolder()
            let url = folder.url
            let results = try ThreadGroup.run(4) { member in
                var objective = Failing()
                objective.isFailing = !isCancelled && member.process.rank == 2
                objective.isCancelled = isCancelled && member.process.rank == 1
                var run = try TrainingRun(objective, self.options(), in: url)
                run.communicator = member
                var progress = TrainingProgress(isTerminal: false) { _ in }
                _ = try run.run(resumes: false, progress: &progress)
            }
            if isCancelled {
                #expect(throws: CancellationError.self) { try results[0].get() }
            } else {
                expectError(.unreadableFile, "process 3 of 4: x.png cannot be read") {
                    try results[0].get()
                }
            }
            for other in results.dropFirst() {
                #expect(throws: EndedTogether.self) { try other.get() }
            }
            let state = try TrainingState(
                contentsOf: folder.url.appendingPathComponent("state.safetensors"))
            #expect(state.step == 3)
            let names = try FileManager.default.contentsOfDirectory(atPath: folder.url.path)
            #expect(names.filter { $0.hasPrefix(".lock") }.count == 5)
        }
    }

    @Test("processes with other settings or data are named with what differs")
    func differences() throws {
        let results = try ThreadGroup.run(2) { member in
            var asked = self.options()
            if member.process.rank == 1 { asked.seed = 9 }
            _ = try Trainer(TinyStageC(), asked, communicator: member)
        }
        expectError(.invalidRequest, "process 2 of 2: seed 9 (not 0)") { try results[0].get() }
        #expect(throws: EndedTogether.self) { try results[1].get() }
    }

    @Test("the first process alone writes, and an error of its own ends all")
    func writing() throws {
        let folder = try TemporaryFolder()
        let url = folder.url
        let results = try ThreadGroup.run(2) { member in
            var run = try TrainingRun(TinyStageC(), self.options(), in: url)
            run.communicator = member
            run.whenSaved = { _ in
                guard member.process.isFirst else {
                    throw WuerstchenError(.invalidRequest, "another process wrote")
                }
                throw WuerstchenError(.unwritableFile, "the disk is full")
            }
            var progress = TrainingProgress(isTerminal: false) { _ in }
            _ = try run.run(resumes: false, progress: &progress)
        }
        expectError(.unwritableFile, "the disk is full") { try results[0].get() }
        #expect(throws: EndedTogether.self) { try results[1].get() }
    }
}
