import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenTraining
import _WuerstchenTestSupport

@Suite("Distillations") struct DistillationTests {
    private let teacher: TinyTeacher
    private let folder: TemporaryFolder
    private let checkpoint: URL

    init() throws {
        teacher = try TinyTeacher()
        folder = try TemporaryFolder()
        checkpoint = folder.url.appendingPathComponent("teacher")
        try StudentFolder(checkpoint).write(
            teacher.values, TinyStageC.configuration, elementType: .float32)
    }

    private func couplings(of teacherFolder: URL, guidance: Float = 2) throws -> Couplings {
        var record = teacher.record(teacher: try weightsFingerprint(of: teacherFolder))
        record.guidance = guidance
        let target = folder.url.appendingPathComponent("couplings-of-\(record.teacher)")
        try teacher.maker(record).make(16, in: target)
        return try Couplings(contentsOf: target)
    }

    private func student() -> FlowStudent<StageC> {
        FlowStudent(teacher.stage.blueprint, in: teacher.context)
    }

    private func run(_ distillation: Distillation<StageC>, _ name: String) throws
        -> StudentFolder
    {
        var options = TrainingOptions(steps: 2, batchSize: 2, peakRate: 1e-3)
        options.precision = .float32
        var progress = TrainingProgress()
        return try distillation.run(
            options, in: folder.url.appendingPathComponent(name), progress: &progress)
    }

    @Test("a student is a stage of its own, and its guidance is that of pairs times its teacher's")
    func chain() throws {
        let first = try run(
            Distillation(
                student(), in: DistillationFolders(base: checkpoint),
                couplings: couplings(of: checkpoint, guidance: 3), times: .uniform,
                keepsAttention: true), "reflow")
        #expect(first.holdsDifferences)
        let reflowed = try #require(first.configuration(StageC.Configuration.self).flow)
        #expect(reflowed.steps == nil && reflowed.guidance == 3)
        let values = try first.parameters(over: checkpoint).values()
        for (name, value) in values where name.contains(".attention.") {
            let own = teacher.values[name]?.elements.map { Float($0) }
            #expect(value.elements == own, "\(name)")
        }
        _ = try StageC(
            configuration: first.configuration(),
            parameters: first.parameters(over: checkpoint))
        // Once more, from the student: its variables stay, and guidance multiplies.
        let second = try run(
            Distillation(
                student(), in: DistillationFolders(base: checkpoint, teacher: first.url),
                couplings: couplings(of: first.url, guidance: 2), times: .beginning), "one-step")
        #expect(!second.holdsDifferences)
        let short = try #require(second.configuration(StageC.Configuration.self).flow)
        #expect(short.steps == 1 && short.guidance == 6)
        #expect(short.mean == reflowed.mean && short.deviation == reflowed.deviation)
    }

    @Test("a student of fewer blocks is smaller, and cannot be stored as differences")
    func pruned() throws {
        let pairs = try couplings(of: checkpoint)
        let depth = TinyStageC.configuration.depth
        func distillation(_ blocks: Int, keepsAttention: Bool = false) throws -> Distillation<
            StageC
        > {
            try Distillation(
                student(), in: DistillationFolders(base: checkpoint), couplings: pairs,
                times: .uniform, pruning: StagePruning(blocks: [blocks]),
                keepsAttention: keepsAttention)
        }
        #expect(depth > 1)
        let small = try run(distillation(1), "small")
        #expect(try small.configuration(StageC.Configuration.self).depth == 1)
        expectError(.incompatibleParameters, "other parameters", "store it whole") {
            _ = try distillation(1, keepsAttention: true)
        }
        for blocks in [0, depth + 1] {
            expectError(.invalidRequest, "one number", "1 to the teacher's \(depth)") {
                _ = try distillation(blocks)
            }
        }
    }

    @Test("what cannot be meant is refused before anything is trained")
    func refused() throws {
        let pairs = try couplings(of: checkpoint)
        let other = folder.url.appendingPathComponent("other")
        try StudentFolder(other).write(teacher.values, TinyStageC.configuration)
        func expectRefused(
            _ words: String, _ folders: DistillationFolders,
            _ pruning: StagePruning = StagePruning()
        ) {
            expectError(.invalidRequest, words) {
                _ = try Distillation(
                    student(), in: folders, couplings: pairs, times: .uniform, pruning: pruning)
            }
        }
        expectRefused("another teacher", DistillationFolders(base: other))
        expectRefused("no student", DistillationFolders(base: checkpoint, beginning: other))
        expectRefused(
            "prune its teacher", DistillationFolders(base: checkpoint, beginning: other),
            StagePruning(blocks: [1]))
        expectRefused(
            "would not see its text", DistillationFolders(base: checkpoint),
            StagePruning(removesAttention: true))
        expectError(.invalidRequest, "couplings of stage-c, not stage-b") {
            try pairs.requireTeacher("stage-b", in: checkpoint)
        }
    }

    @Test("a cascade's stage is not loaded to become a student")
    func unloaded() throws {
        let cascade = Cascade(
            name: "no weights", textEncoder: Part(teacher.textEncoder),
            stageC: Part(teacher.stage.blueprint) {
                throw WuerstchenError(.fileNotFound, "Stage C was loaded")
            }, decoder: PreviewDecoder())
        let configuration = try FlowStudent<StageC>(of: cascade).blueprint.configuration
        #expect(configuration.depth == TinyStageC.configuration.depth)
        #expect(configuration.flow != nil)
        expectError(.fileNotFound, "Stage C was loaded") {
            _ = try CouplingTeacher(
                StageC.self, of: cascade, size: ImageSize(width: 128, height: 128))
        }
        expectError(.invalidRequest, "no Stage B") { _ = try FlowStudent<StageB>(of: cascade) }
    }

    @Test("weights to begin with all have a place of their shape, or are declared to begin anew")
    func warmStart() throws {
        let initial = TrainableParameters([
            "net.a": Tensor([0, 0], [2]), "net.out.1.weight": Tensor([0], [1]),
            "net.b": Tensor([0], [1]), "adversary.c": Tensor([0], [1]),
        ])
        let last = ["out.1.weight": Tensor([1, 2], [2])]
        let start = try WarmStart(
            last.merging(["a": Tensor([3, 4], [2])]) { $1 }, scope: "net", in: initial,
            renewing: ["out.1"], from: "a teacher")
        #expect(start.parameters.mapValues(\.elements) == ["net.a": [3, 4]])
        #expect(start.new == ["net.b", "net.out.1.weight"])
        expectError(
            .incompatibleParameters, "a teacher", "1 unknown: d", "2 misshapen: a is",
            "out.1.weight"
        ) {
            _ = try WarmStart(
                last.merging(["a": Tensor([3], [1]), "d": Tensor([3], [1])]) { $1 }, scope: "net",
                in: initial, from: "a teacher")
        }
    }
}
