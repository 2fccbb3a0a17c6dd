import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenNN
import WuerstchenTraining
import _WuerstchenTestSupport

/// Training of a cascade that begins with a checkpoint.
@Suite("Fine-tuning a whole cascade") struct CascadeStartTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        try RandomCheckpoint.write(to: checkpoint)
        try FileManager.default.createDirectory(at: pictures, withIntermediateDirectories: true)
        for index in 0..<2 {
            let picture = try Image.drawn(128, 128) { x, y in
                (UInt8(90 * index), UInt8(x), UInt8(y))
            }
            try picture.write(to: pictures.appendingPathComponent("\(index).png"))
            try pictures.put("\(index).txt", "picture of windmill \(index)")
        }
    }

    private var checkpoint: URL { folder.url.appendingPathComponent("checkpoint") }
    private var pictures: URL { folder.url.appendingPathComponent("pictures") }
    private var run: URL { folder.url.appendingPathComponent("run") }

    private func training(
        of pieces: Set<CascadePiece>? = nil, keep: KeptKnowledge? = nil,
        _ change: (inout CascadeTraining.Options) -> Void = { _ in }
    ) throws -> CascadeTraining {
        var options = CascadeTraining.Options()
        (options.start, options.pieces, options.keep) = (checkpoint, pieces, keep)
        (options.batchSize, options.precision, options.heldOutShare) = (2, .float32, 0)
        change(&options)
        return try CascadeTraining(in: run, images: pictures, options: options)
    }

    private func parameters(
        _ network: KeyPath<CheckpointLayout, CheckpointLayout.Network>, in checkpoint: URL
    ) throws -> [String: Tensor] {
        let network = CheckpointLayout.published[keyPath: network]
        return try CheckpointParameters(
            directory: checkpoint.appendingPathComponent(network.path), stem: network.stem
        ).values()
    }

    /// As few steps as there are, whatever the time.
    private func train(_ training: CascadeTraining) throws {
        let clock = CascadeTrainingTests.Clock()
        _ = try training.plan(limit: 1, now: clock.now)
        var progress = TrainingProgress(isTerminal: false) { _ in }
        try training.run(progress: &progress, now: clock.now)
    }

    private static let embedding = "text_model.embeddings.token_embedding.weight"

    @Test("every piece begins with the checkpoint's weights, in its sizes, with new words")
    func everyPiece() throws {
        let training = try training(
            keep: KeptKnowledge(share: 0.5, from: .drawn(["picture number 3"], count: 1)))
        #expect(training.architecture.stageC == CascadeTrainingTests.architecture.stageC)
        #expect(training.architecture.side == 128 && training.newWords == ["of", "windmill"])
        try train(training)
        // What was drawn of a caption is kept in mind, in all pieces.
        let kept = run.appendingPathComponent("kept")
        #expect(
            try String(contentsOf: kept.appendingPathComponent("000000.txt"), encoding: .utf8)
                == "picture number 3\n")
        // Steps so small that parameters are still near those that they began with.
        for (piece, scope, network) in [
            (CascadePiece.stageA, "stage_a", \CheckpointLayout.stageA),
            (.stageB, "stage_b", \.stageB), (.stageC, "stage_c", \.stageC),
        ] {
            let state = try TrainingState(
                contentsOf: run.appendingPathComponent("\(piece.rawValue)/state.safetensors"))
            #expect(state.step == 8)
            let learnt = TrainableParameters(state.parameters.values).scope(scope)
            let before = try parameters(network, in: checkpoint)
            #expect(Set(learnt.keys) == Set(before.keys))
            var isMoved = false
            for (name, value) in before where !BatchNorm.isStatistic(name) {
                let moved = try (#require(learnt[name]) - value).elements.map(abs).max() ?? 0
                #expect(moved < 0.01, "\(piece) \(name)")
                isMoved = isMoved || moved > 0
            }
            #expect(isMoved, "\(piece)")
        }
        // Old rows are where they were in front of Stage B, which leaves its encoder alone.
        let after = training.checkpoint
        let old = try #require(try parameters(\.decoderTextEncoder, in: checkpoint)[Self.embedding])
        let new = try #require(try parameters(\.decoderTextEncoder, in: after)[Self.embedding])
        #expect(new.shape[0] == old.shape[0] + 2)
        #expect(
            new[0..<old.shape[0]].elements == old.elements.map { Float(Float16($0)) })
        // It is a checkpoint that others load, and can be begun with again.
        let cascade = try Cascade(contentsOf: after)
        let tokenizer = try cascade.textEncoder().tokenizer
        #expect(tokenizer.encode("windmill of windmill").count == 5)
        #expect(try cascade.diffusionDecoder().stageB.blueprint().schedule.offset == 0.01)
        let captions = try #require(try CheckpointCaptions(of: after))
        #expect(captions.captions.sorted() == ["picture of windmill 0", "picture of windmill 1"])
        var options = CascadeTraining.Options()
        (options.start, options.pieces, options.heldOutShare) = (after, [.stageC], 0)
        let again = try CascadeTraining(
            in: folder.url.appendingPathComponent("again"), images: pictures, options: options)
        #expect(again.newWords.isEmpty)
    }

    @Test("pieces that are not wanted stay as they are, and exports have them at any time")
    func somePieces() throws {
        try FileManager.default.removeItem(
            at: checkpoint.appendingPathComponent("preview.safetensors"))
        let training = try training(of: [.stageC])
        let plan = try training.plan(limit: 1)
        #expect(plan.pieces == [.stageC])
        // Before anything is learnt.
        let target = folder.url.appendingPathComponent("exported")
        try CascadeTraining.export(run, to: target)
        for network in [\CheckpointLayout.stageA, \.stageB, \.stageC] {
            let before = try parameters(network, in: checkpoint)
            for (name, value) in try parameters(network, in: target) {
                #expect(
                    value.elements == before[name]?.elements.map { Float(Float16($0)) }, "\(name)")
            }
        }
        _ = try Cascade(contentsOf: target)
        expectError(.invalidRequest, "Stage C", "other") {
            _ = try self.training(of: [.stageB])
        }
        try RandomCheckpoint.write(to: checkpoint, seed: 10)
        expectError(.incompatibleParameters, checkpoint.path) {
            try CascadeTraining.export(run, to: target)
        }
        expectError(.invalidRequest, "begun", checkpoint.path) {
            _ = try self.training(of: [.stageC])
        }
    }

    @Test("what cannot be fine-tuned is listed as a whole, before anything is written")
    func misfits() throws {
        let files = FileManager.default
        for name in ["compressor.safetensors", "preview.safetensors"] {
            try files.removeItem(at: checkpoint.appendingPathComponent(name))
        }
        var flow = CascadeTrainingTests.architecture.stageB
        flow.flow = FlowConfiguration()
        try CheckpointExport(to: checkpoint).write(
            from: InitialParameters(seed: 1), flow, to: \.stageB
        ) {
            _ = try StageB(configuration: flow, parameters: $0)
        }
        expectError(
            .invalidRequest, "3 things", "flow", "no semantic compressor", "no preview decoder"
        ) { _ = try training() }
        #expect(!files.fileExists(atPath: run.path))
    }

    @Test("contradictions are refused")
    func contradictions() throws {
        expectError(.invalidRequest, "tokenizer") {
            _ = try training { $0.tokenizer = pictures }
        }
        expectError(.invalidRequest, "Stage C") { _ = try training(of: [.text]) }
        expectError(.invalidRequest, "--start") {
            _ = try training(of: [.stageC]) { $0.start = nil }
        }
        expectError(.invalidRequest, "--start") {
            _ = try training(keep: KeptKnowledge(share: 0.5, from: .folder(pictures))) {
                $0.start = nil
            }
        }
        expectError(.invalidRequest, "captions.txt", "--keep-captions") {
            _ = try training(keep: KeptKnowledge(share: 0.5, from: .drawn([], count: 4)))
        }
    }
}
