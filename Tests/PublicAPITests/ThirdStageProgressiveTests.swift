import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenNN
import WuerstchenTraining

extension TinyStage: FeatureStage {
    static func featureChannels(of configuration: Configuration) -> [Int] { [configuration.width] }

    func features(_ x: Tensor, times: [Float], conditioning: Tensor) -> [Tensor] {
        [hidden(x, times: times, conditioning: conditioning)]
    }
}

/// What the stage learns, without an end.
private struct TinyLatents: LatentSource {
    func latents(_ number: Int, count: Int) -> LatentBatch {
        var random = RandomStream(11, UInt64(number))
        let captions = (0..<count).map { _ in ["up", "down"][random.integer(below: 2)] }
        return LatentBatch(
            clean: TinyObjective.latents(of: captions, &random),
            conditions: CouplingConditions(captions: captions))
    }
}

/// A stage that the library does not know is distilled to fewer and fewer steps.
@Suite("A third stage, distilled progressively") struct ThirdStageProgressiveTests {
    private let root = FileManager.default.temporaryDirectory
        .appendingPathComponent("third-stage-\(UUID().uuidString)")
    private let blueprint = TinyObjective().noise.blueprint

    private func file(_ name: String) -> URL { root.appendingPathComponent(name) }

    private func options(_ steps: Int, rate: Float = 1e-2) -> TrainingOptions {
        var options = TrainingOptions(
            steps: steps, batchSize: 32, peakRate: rate, weightDecay: 0, averageDecay: 0.9)
        options.precision = .float32
        return options
    }

    /// A stage that has learnt to denoise, in a folder.
    private func teacher() throws -> StudentFolder {
        var trainer = try Trainer(TinyObjective(), options(250))
        while try trainer.next() != nil {}
        let folder = StudentFolder(file("teacher"))
        try folder.write(
            TrainableParameters(trainer.state.average.values).scope(TinyStage.scope),
            blueprint.configuration, elementType: .float32)
        return folder
    }

    private func distillation(
        _ plan: ProgressivePlan, of teacher: StudentFolder
    ) throws -> ProgressiveDistillation<TinyStage> {
        var result = try ProgressiveDistillation(
            FlowStudent(blueprint, in: TinyContext()),
            in: DistillationFolders(base: teacher.url), latents: TinyLatents(), plan: plan)
        var adversary = FeatureAdversary(
            blueprint, weights: try teacher.parameters(over: teacher.url).values(),
            in: TinyContext())
        adversary.start = 0.2
        result.adversary = adversary
        return result
    }

    private func stage(in folder: StudentFolder, over base: StudentFolder) throws -> TinyStage {
        try StageBlueprint<TinyStage>(configuration: folder.configuration())
            .stage(folder.parameters(over: base.url))
    }

    @Test("what no student can be trained with is refused before the first is")
    func impossibleOptions() throws {
        defer { try? FileManager.default.removeItem(at: root) }
        let folder = StudentFolder(file("teacher"))
        var parameters = TrainableParameters()
        try parameters.add(blueprint, seed: 1)
        try folder.write(
            parameters.scope(TinyStage.scope), blueprint.configuration, elementType: .float32)
        var distillation = try distillation(ProgressivePlan(steps: [2, 1]), of: folder)
        var progress = TrainingProgress(isTerminal: false) { _ in }
        func expectRefused(_ words: String, _ adversarial: TrainingOptions) {
            let error = #expect(throws: WuerstchenError.self) {
                _ = try distillation.run(
                    meanSquare: options(1), adversarial: adversarial, in: file("students"),
                    progress: &progress)
            }
            #expect(error?.message.contains(words) == true, "\(String(describing: error))")
            #expect(!FileManager.default.fileExists(atPath: file("students").path))
        }
        expectRefused("learning rate", options(1, rate: .nan))
        distillation.adapters = LoRAConfiguration(rank: 0)
        expectRefused("rank 0", options(1))
    }

    /// How far a stage's steps end from the teacher's 32 under guidance, from the same noise.
    private func gap(
        _ folder: StudentFolder, _ teacher: StudentFolder, steps: Int
    ) throws -> Float {
        let conditions = CouplingConditions(captions: (0..<32).map { ["up", "down"][$0 % 2] })
        var random = RandomStream(3)
        let noise = random.normal([32, 2, 2, 2])
        func end(_ folder: StudentFolder, _ steps: Int, _ guidance: Float) throws -> Tensor {
            let field = try TinyContext().field(
                of: stage(in: folder, over: teacher), under: conditions, guidance: guidance)
            return try field.solve(
                from: noise, timesteps: field.map.timesteps(count: steps), solver: .euler
            ).latent
        }
        let isTeacher = folder == teacher
        return relativeDistance(
            try end(folder, steps, isTeacher ? 2 : 1), try end(teacher, 32, 2))
    }

    @Test("eight, four, two and one steps lead where 32 of the teacher's do")
    func chain() throws {
        defer { try? FileManager.default.removeItem(at: root) }
        let teacher = try teacher()
        let plan = try ProgressivePlan(steps: [8, 4, 2, 1], teacherSteps: 16, guidance: 2)
        let distillation = try distillation(plan, of: teacher)
        var progress = TrainingProgress(isTerminal: false) { _ in }
        let students = try distillation.run(
            meanSquare: options(200), adversarial: options(100, rate: 3e-3),
            in: file("lightning"), elementType: .float32, progress: &progress)
        #expect(
            students.map(\.url.path)
                == [8, 4, 2, 1].map { file("lightning/\($0)-steps/student").path })
        for (folder, steps) in zip(students, plan.steps) {
            let student = try stage(in: folder, over: teacher)
            let flow = try #require(student.configuration.flow)
            #expect(flow.steps == steps && flow.guidance == 2)
            #expect(flow.prediction == (steps == 1 ? .clean : .velocity))
            // As near as the teacher in as many steps is not.
            let found = try gap(folder, teacher, steps: steps)
            let teachers = try gap(teacher, teacher, steps: steps)
            #expect(found < (steps == 1 ? 0.8 : 0.25), "\(steps) steps: \(found)")
            if steps <= 2 { #expect(found < teachers, "\(steps) steps: \(found), \(teachers)") }
            // It is sampled so by itself, and not otherwise.
            #expect(student.defaultSampling.timesteps.count == steps)
            let error = #expect(throws: WuerstchenError.self) {
                try student.sampler(
                    TinyStage.words(["up"]), shape: [1, 2, 2, 2], noise: SeededNoise(seeds: [1]),
                    options: SamplingOptions(
                        timesteps: Timesteps(count: 3), guidance: 0, method: .euler))
            }
            let words = steps == 1 ? "one step" : "\(steps) steps"
            #expect(error?.message.contains(words) == true)
            // A folder of several students has it, too.
            let chosen = try StudentFolder.student(in: file("lightning"), steps: steps)
            #expect(chosen.url.path == folder.url.path)
        }
        let most = try StudentFolder.student(in: file("lightning"))
        #expect(most.url.path == students[0].url.path)
        let error = #expect(throws: WuerstchenError.self) {
            try StudentFolder.student(in: file("lightning"), steps: 3)
        }
        #expect(error?.message.contains("8, 4, 2, 1") == true)
        // All that is there can be resumed, and changes nothing.
        let before = try students.map { try weightsFingerprint(of: $0.url) }
        try distillation.run(
            meanSquare: options(200), adversarial: options(100, rate: 3e-3),
            in: file("lightning"), resumes: true, elementType: .float32, progress: &progress)
        #expect(try students.map { try weightsFingerprint(of: $0.url) } == before)
    }

    @Test("a distillation that was stopped between and within students goes on to the same bits")
    func resuming() throws {
        defer { try? FileManager.default.removeItem(at: root) }
        let teacher = try teacher()
        let distillation = try distillation(
            ProgressivePlan(steps: [4, 2], guidance: 2), of: teacher)
        var progress = TrainingProgress(isTerminal: false) { _ in }
        func run(_ name: String, resumes: Bool) throws -> [StudentFolder] {
            try distillation.run(
                meanSquare: options(12), adversarial: options(12), in: file(name),
                resumes: resumes, elementType: .float32, progress: &progress)
        }
        let whole = try run("whole", resumes: false)
        // Stopped when the first student was there and the second was not.
        try FileManager.default.createDirectory(
            at: file("part"), withIntermediateDirectories: true)
        try FileManager.default.copyItem(
            at: file("whole/4-steps"), to: file("part/4-steps"))
        let part = try run("part", resumes: true)
        #expect(
            try part.map { try weightsFingerprint(of: $0.url) }
                == whole.map { try weightsFingerprint(of: $0.url) })
        // One that begins leaves alone what is there, and one that resumes needs something there.
        #expect(throws: WuerstchenError.self) { try run("whole", resumes: false) }
        #expect(throws: WuerstchenError.self) { try run("misspelt", resumes: true) }
    }

    @Test("adapters learn in place of all weights, and are merged into the student")
    func adapters() throws {
        defer { try? FileManager.default.removeItem(at: root) }
        let teacher = try teacher()
        var distillation = try distillation(
            ProgressivePlan(steps: [4, 2], guidance: 2), of: teacher)
        distillation.adapters = LoRAConfiguration(rank: 2)
        var progress = TrainingProgress(isTerminal: false) { _ in }
        let students = try distillation.run(
            meanSquare: options(4), adversarial: options(8), in: file("lora"),
            elementType: .float32, progress: &progress)
        let (first, second) = (
            try students[0].parameters(over: teacher.url).values(),
            try students[1].parameters(over: teacher.url).values()
        )
        #expect(Set(first.keys) == Set(second.keys))
        #expect(first["hidden.weight"]?.elements != second["hidden.weight"]?.elements)
        #expect(first["hidden.bias"]?.elements == second["hidden.bias"]?.elements)
        let state = try TrainingState(contentsOf: file("lora/2-steps/state.safetensors"))
        #expect(state.parameters.values["tiny_stage.hidden.weight"] == nil)
        #expect(state.objective == "tiny-stage-2-steps-lora")
    }

    @Test("windows are straight: any multiple of so many steps leads to the same latents")
    func windows() throws {
        defer { try? FileManager.default.removeItem(at: root) }
        let teacher = try teacher()
        var distillation = try distillation(
            ProgressivePlan(windows: 2, teacherSteps: 16, guidance: 2), of: teacher)
        distillation.adversary = nil
        var progress = TrainingProgress(isTerminal: false) { _ in }
        let folder = try distillation.run(
            meanSquare: options(200), adversarial: options(1), in: file("windows"),
            elementType: .float32, progress: &progress)[0]
        #expect(folder.url.path == file("windows/2-windows/student").path)
        let student = try stage(in: folder, over: teacher)
        #expect(student.configuration.flow?.windows == 2)
        for steps in [2, 4, 8] {
            let found = try gap(folder, teacher, steps: steps)
            #expect(found < 0.25, "\(steps) steps: \(found)")
            try student.description.validate(
                SamplingOptions(
                    timesteps: student.flowMap.timesteps(count: steps), guidance: 0,
                    method: .euler))
        }
        #expect(try gap(folder, teacher, steps: 2) < gap(teacher, teacher, steps: 2))
        let error = #expect(throws: WuerstchenError.self) {
            try student.description.validate(
                SamplingOptions(
                    timesteps: student.flowMap.timesteps(count: 3), guidance: 0, method: .euler))
        }
        #expect(error?.message.contains("multiple of 2") == true)
        #expect(
            try StudentFolder.student(in: file("windows"), steps: 6).url.path == folder.url.path)
    }
}
