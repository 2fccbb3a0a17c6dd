import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenTraining

/// A stage that the library does not know is trained, distilled and sampled. This target sees
/// public API alone: see `packageAccess` in the manifest.
@Suite("A third stage, trained and distilled") struct ThirdStageTrainingTests {
    private let captions = ["up", "down"]

    private func options(_ steps: Int, rate: Float = 1e-2) -> TrainingOptions {
        var options = TrainingOptions(
            steps: steps, batchSize: 32, peakRate: rate, weightDecay: 0, averageDecay: 0.9)
        options.precision = .float32
        return options
    }

    /// The last losses relative to the first.
    private func fall(_ losses: [Double]) -> Double {
        losses.suffix(20).reduce(0, +) / losses.prefix(20).reduce(0, +)
    }

    private func losses(
        _ objective: some TrainingObjective, steps: Int, start: [String: Tensor] = [:]
    ) throws -> (losses: [Double], parameters: [String: Tensor]) {
        var trainer = try Trainer(objective, options(steps), start: start)
        var losses: [Double] = []
        while let report = try trainer.next() { losses.append(report.loss) }
        return (losses, trainer.state.average.values)
    }

    /// The means of latents that a stage makes of "up" and of "down".
    private func means(_ stage: TinyStage, guidance: Float? = nil) throws -> [Float] {
        var options = stage.defaultSampling
        if let guidance { options.guidance = guidance }
        let words = captions + (options.isGuided ? ["", ""] : [])
        var sampler = try stage.sampler(
            TinyStage.words(words), shape: [2, 8, 8, 2], noise: SeededNoise(seeds: [1, 2]),
            options: options)
        while try sampler.next() != nil {}
        return (0..<2).map { sampler.latent[$0..<$0 + 1].mean().elements[0] }
    }

    /// Pairs that a stage in a folder makes.
    private func couplings(
        of folder: StudentFolder, over base: StudentFolder, in target: URL
    ) throws -> Couplings {
        let stage = try stage(in: folder, over: base)
        let teacher = try CouplingTeacher(stage, in: TinyContext(), rows: 2, columns: 2)
        #expect(teacher.name == "tiny-stage" && teacher.latentShape == (2, 2, 2))
        let record = CouplingRecord(
            stage: teacher.name, teacher: try weightsFingerprint(of: folder.url), seed: 5,
            guidance: 1, captionDropout: 0,
            conditions: CouplingRecord.Conditions(
                source: "two words", size: ImageSize(width: 2, height: 2)),
            solver: CouplingRecord.Solver(.heun, steps: 8, precision: .float32), shardSize: 128)
        let generator = PairGenerator(
            record, conditions: try CaptionConditions(captions), teacher: teacher)
        #expect(try generator.make(256, in: target) == 0)
        return try Couplings(contentsOf: target)
    }

    private func stage(
        in folder: StudentFolder, over base: StudentFolder
    ) throws -> TinyStage {
        try StageBlueprint<TinyStage>(configuration: folder.configuration())
            .stage(folder.parameters(over: base.url))
    }

    @Test("it learns, its flow is straightened, and one step then does what thirty did")
    func chain() throws {
        let root = FileManager.default.temporaryDirectory
            .appendingPathComponent("third-stage-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: root) }
        func file(_ name: String) -> URL { root.appendingPathComponent(name) }

        // Diffusion.
        let objective = TinyObjective()
        let learnt = try losses(objective, steps: 250)
        #expect(fall(learnt.losses) < 0.7, "\(learnt.losses)")
        let weights = TrainableParameters(learnt.parameters).scope(TinyStage.scope)
        let teacher = StudentFolder(file("teacher"))
        try teacher.write(weights, objective.noise.blueprint.configuration, elementType: .float32)
        let made = try means(stage(in: teacher, over: teacher), guidance: 1)
        #expect(abs(made[0] - 1) < 0.3 && abs(made[1] + 1) < 0.3, "\(made)")

        // Reflow: the student is another network than its teacher, and better in few steps.
        let pairs = try couplings(of: teacher, over: teacher, in: file("pairs"))
        let reflow = try Distillation(
            FlowStudent(objective.noise.blueprint, in: TinyContext()),
            in: DistillationFolders(base: teacher.url), couplings: pairs, times: .uniform)
        let start = try reflow.objective.initialParameters(seed: 0).values
        let reflowed = try losses(reflow.objective, steps: 150, start: start)
        #expect(fall(reflowed.losses) < 0.7, "\(reflowed.losses)")
        var progress = TrainingProgress()
        let straight = try reflow.run(
            options(150), in: file("reflow"), elementType: .float32,
            progress: &progress)
        let batch = pairs.first(64)
        func gap(_ folder: StudentFolder) throws -> Float {
            let field = try TinyContext().field(
                of: stage(in: folder, over: teacher), under: batch.conditions)
            let solution = try field.solve(
                from: batch.noise, timesteps: field.map.timesteps(count: 1), solver: .euler)
            return relativeDistance(solution.latent, batch.clean)
        }
        let (before, after) = (try gap(teacher), try gap(straight))
        #expect(after < 0.8 * before, "\(before) \(after)")

        // What the folder holds is what training ended with, bit for bit.
        let state = try TrainingState(contentsOf: file("reflow/state.safetensors"))
        let ended = TrainableParameters(state.average.values).scope(TinyStage.scope)
        let stored = try straight.parameters(over: teacher.url).values()
        #expect(stored.mapValues(\.elements) == ended.mapValues(\.elements))
        #expect(stored.mapValues(\.elements) != weights.mapValues(\.elements))

        // One step, from the straightened flow.
        let again = try couplings(of: straight, over: teacher, in: file("pairs-of-reflow"))
        let oneStep = try Distillation(
            FlowStudent(objective.noise.blueprint, in: TinyContext()),
            in: DistillationFolders(base: teacher.url, teacher: straight.url),
            couplings: again, times: .beginning
        ).run(
            options(150), in: file("one-step"), elementType: .float32, progress: &progress)
        let student = try stage(in: oneStep, over: teacher)
        #expect(student.defaultSampling.timesteps.count == 1)
        let drawn = try means(student)
        #expect(abs(drawn[0] - 1) < 0.3 && abs(drawn[1] + 1) < 0.3, "\(drawn)")
        #expect(try gap(oneStep) < before)

        // Its pairs are its own, and it cannot be followed in other steps.
        #expect(throws: WuerstchenError.self) {
            try CouplingTeacher(student, in: TinyContext(), rows: 2, columns: 2)
        }
        #expect(throws: WuerstchenError.self) {
            try Distillation(
                FlowStudent(objective.noise.blueprint, in: TinyContext()),
                in: DistillationFolders(base: teacher.url), couplings: pairs, times: .uniform,
                pruning: StagePruning(blocks: [1]))
        }
    }
}
