import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@testable import WuerstchenTraining

/// What a step of training takes, before any is taken.
@Suite("Memory of a training step") struct MemoryFitTests {
    /// A stage of which activations are most of the memory.
    private func objective() throws -> StageCObjective {
        var stage = StageC.Configuration()
        (stage.channels, stage.textChannels, stage.depth, stage.heads) = (32, 16, 8, 2)
        var text = CLIPTextModel.Configuration(
            channels: 16, hiddenChannels: 16, layers: 1, heads: 2)
        let tokenizer = try withFolder { folder in
            try CaptionTokenizer(captions: ["a house"]).write(to: folder)
            return try CLIPTokenizer(contentsOf: folder)
        }
        (text.positions, text.vocabularySize) = (tokenizer.length, tokenizer.vocabularySize)
        return StageCObjective(
            NoisePrediction(StageBlueprint(configuration: stage)),
            captions: CaptionEncoding(text, tokenizer: tokenizer, trainsEncoder: true),
            semantics: ConstantSemantics(side: 12))
    }

    private struct ConstantSemantics: SemanticSource {
        let side: Int

        func semantics(_ number: Int, count: Int) -> SemanticBatch {
            SemanticBatch(
                latents: Tensor(repeating: 0.5, [count, side, side, 16]),
                captions: Array(repeating: "a house", count: count))
        }
    }

    private func options(batch: Int = 16) -> TrainingOptions {
        var result = TrainingOptions(steps: 100, batchSize: batch, peakRate: 1e-3)
        result.precision = .float32
        return result
    }

    @Test("grows with the images of a step, and holds all that the optimiser remembers")
    func growth() throws {
        let objective = try objective()
        let one = try MemoryFit(objective, options(batch: 1)).estimate
        let many = try MemoryFit(objective, options(batch: 16)).estimate
        // Parameters, their average, two moments and the gradients.
        let parameters = try objective.initialParameters(seed: 0).count
        #expect(one.work > 5 * 4 * parameters)
        let perImage = Double(many.work - one.work) / 15
        // What each of eight blocks keeps of 144 positions at least.
        #expect(perImage > Double(8 * 144 * 32 * 4 * 4))
        #expect(one.process > 0 && one.peak == one.work + one.process)
    }

    @Test("of several processes each takes its share of a step, and more shards take less")
    func processes() throws {
        let objective = try #require(objective().checkpointingActivations())
        let alone = try MemoryFit(objective, options()).estimate
        let results = try ThreadGroup.run(4) { member in
            try ProcessGroup.$current.withValue(member) {
                var asked = self.options()
                asked.shards = 4
                let share = try MemoryFit(objective, asked)
                asked.shards = 16
                let least = try MemoryFit(objective, asked).estimate
                asked.shards = 4
                expectError(.invalidRequest, "--shards 8") {
                    _ = try MemoryFit(
                        objective, asked, limit: share.estimate.work * 9 / 10, process: 0)
                }
                return (share.estimate.work, least.work)
            }
        }
        for result in results {
            let (share, least) = try result.get()
            #expect(share < alone.work / 2)
            #expect(least < share)
        }
    }

    @Test("of what the optimiser remembers each process counts its part")
    func shared() throws {
        let objective = try #require(objective().checkpointingActivations())
        let count = try objective.initialParameters(seed: 0).count
        func work(_ processes: Int) throws -> Int {
            try ThreadGroup.run(processes) { member in
                try ProcessGroup.$current.withValue(member) {
                    var asked = self.options(batch: processes)
                    asked.shards = processes
                    return try MemoryFit(objective, asked).estimate.work
                }
            }.map { try $0.get() }.max() ?? 0
        }
        // Each has one image, so that they differ in what they remember and send.
        let remembered = 2 * 4 * count
        let (one, two, four) = (try work(1), try work(2), try work(4))
        #expect(one - two > remembered / 4, "\(one), \(two) for \(remembered)")
        #expect(one - four > remembered / 2, "\(one), \(four) for \(remembered)")
    }

    @Test("too much for a limit, activations are computed anew, to the same bits")
    func checkpointing() throws {
        let objective = try objective()
        let whole = try MemoryFit(objective, options())
        #expect(!whole.objective.noise.checkpointsActivations && whole.estimateBefore == nil)
        let less = try MemoryFit(
            objective, options(), limit: whole.estimate.work * 9 / 10, process: 0)
        #expect(less.objective.noise.checkpointsActivations)
        #expect(less.estimate.work < whole.estimate.work * 3 / 4)
        // Which idle buffer is taken for a new one depends on the order of parameters.
        let before = try #require(less.estimateBefore).work
        #expect(abs(before - whole.estimate.work) < whole.estimate.work / 50)
        #expect(less.description.contains("anew"))
        var (first, second) = (
            try Trainer(whole.objective, options()), try Trainer(less.objective, options())
        )
        for _ in 0..<2 { #expect(try first.next()?.loss == second.next()?.loss) }
    }

    @Test("too much whatever is done, it is refused with what would fit")
    func refusal() throws {
        let objective = try objective()
        let one = try MemoryFit(objective, options(batch: 1)).estimate
        let saving = try #require(objective.checkpointingActivations())
        let all = try MemoryFit(saving, options()).estimate
        expectError(.invalidRequest, "would fit", "--micro-batch") {
            _ = try MemoryFit(objective, options(), limit: all.work * 9 / 10, process: 0)
        }
        expectError(.invalidRequest, "nothing smaller fits") {
            _ = try MemoryFit(objective, options(), limit: one.work / 2)
        }
    }
}
