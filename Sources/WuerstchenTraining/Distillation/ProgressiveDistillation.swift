public import Foundation
internal import TensorCore
public import Wuerstchen
public import WuerstchenNN

/// A distillation in which each student is the teacher of the next, which takes fewer steps (Lin et
/// al., "SDXL-Lightning", 2024).
///
/// The first student learns by a mean squared error, and the teacher's guidance with it; the others
/// learn against an adversary, if there is one. A student of one step predicts clean latents, all
/// others velocities.
public struct ProgressiveDistillation<Stage: TrainableStage>: Sendable
where Stage.Configuration: DistillableConfiguration {
    /// The students.
    public let plan: ProgressivePlan
    /// What the students learn from beside the error, from the second one on; nil for nothing.
    public var adversary: (any AuxiliaryLoss<TrajectoryOutput>)?
    /// The adapters that a student learns in place of all weights where its teacher predicts the
    /// same; nil for none. They are merged when it is done. The first student of a stage that
    /// predicts noise, and the student of one step, learn all weights.
    public var adapters: LoRAConfiguration?
    /// Latents that are not learnt from.
    public var validationLatents: (any LatentSource)?
    private let student: FlowStudent<Stage>
    private let folders: DistillationFolders
    private let latents: any LatentSource

    /// A distillation.
    ///
    /// - Parameters:
    ///   - student: The students; its configuration does not matter.
    ///   - folders: Where the first teacher lies: the checkpoint's stage, a flow of any number of
    ///     steps, or a student of as many steps as the plan begins with. A folder to go on from is
    ///     not used.
    ///   - latents: Clean latents to learn from.
    ///   - plan: Which students to make.
    /// - Throws: `WuerstchenError` with code `invalidRequest` when the teacher cannot teach them,
    ///   and what reading its configuration throws.
    public init(
        _ student: FlowStudent<Stage>, in folders: DistillationFolders,
        latents: any LatentSource, plan: ProgressivePlan
    ) throws {
        (self.student, self.folders) = (student, folders)
        (self.latents, self.plan) = (latents, plan)
        let flow = try StudentFolder(folders.teacher).configuration(Stage.Configuration.self).flow
        guard let own = flow?.steps, let first = plan.steps.first else { return }
        guard !plan.hasWindows, plan.teacherSteps ?? own == own, own > first,
            own.isMultiple(of: first), !SamplingOptions.isGuided(by: plan.guidance)
        else {
            throw WuerstchenError(
                .invalidRequest,
                "\(folders.teacher.path) was distilled to \(FlowConfiguration.words(steps: own)) without "
                    + "guidance: it can teach students of a part of so many steps, and no windows")
        }
    }

    /// Where the student of some steps is trained; it itself is in the folder `student` there.
    private func place(_ steps: Int, in folder: URL) -> URL {
        folder.appendingPathComponent("\(steps)-\(plan.hasWindows ? "windows" : "steps")")
    }

    /// Trains all students, each in a folder of its own such as `8-steps`, with its report.
    ///
    /// - Parameters:
    ///   - meanSquare: How to train without adversary.
    ///   - adversarial: How to train with one.
    ///   - folder: The folder of all.
    ///   - resumes: Whether to go on where an earlier distillation in the folder stopped.
    ///   - elementType: The numbers that the students' weights are stored as.
    ///   - progress: Where to report.
    /// - Returns: The students' folders.
    /// - Throws: What training and writing throw. Students that are done stay, and those after them
    ///   are trained from what is stored.
    @discardableResult
    public func run(
        meanSquare: TrainingOptions, adversarial: TrainingOptions, in folder: URL,
        resumes: Bool = false, elementType: WeightElementType = .float16,
        progress: inout TrainingProgress
    ) throws -> [StudentFolder] {
        // Those of later students too, before the first is trained.
        for options in [meanSquare, adversarial] { try options.validate() }
        try adapters?.validate()
        var students: [StudentFolder] = []
        for steps in plan.steps {
            let (objective, start) = try objective(
                steps, of: students.last ?? StudentFolder(folders.teacher),
                isFirst: students.isEmpty, precision: meanSquare.precision)
            let place = place(steps, in: folder)
            let isBegun = FileManager.default.fileExists(
                atPath: place.appendingPathComponent("state.safetensors").path)
            // The first has to have been begun, so that a folder misspelt is an error.
            let learnt = try train(
                objective, from: start,
                objective.auxiliary.isEmpty ? meanSquare : adversarial, in: place,
                resumes: resumes && (isBegun || students.isEmpty), progress: &progress)
            let target = StudentFolder(place.appendingPathComponent("student"))
            try ProcessGroup.inFirst {
                try target.write(
                    learnt, objective.student.blueprint.configuration, base: folders.base,
                    elementType: elementType)
            }
            students.append(target)
        }
        return students
    }

    /// Trains a student, or adapters of it where those are wanted and its teacher predicts the
    /// same.
    private func train(
        _ objective: TrajectoryObjective<Stage>, from start: WarmStart,
        _ options: TrainingOptions, in place: URL, resumes: Bool,
        progress: inout TrainingProgress
    ) throws -> [String: Tensor] {
        guard let adapters, start.new.isEmpty else {
            return try objective.train(
                from: start, scope: Stage.scope, options, in: place, resumes: resumes,
                progress: &progress)
        }
        let adapted = LoRAObjective(
            objective, frozen: start.parameters, adapters: [Stage.scope: adapters])
        progress.note("training \(adapted.name) in \(place.path), rank \(adapters.rank)")
        let trained = try TrainingRun(adapted, options, in: place)
            .run(resumes: resumes, progress: &progress)
        let weights = TrainableParameters(start.parameters).scope(Stage.scope)
        var merged = TrainableParameters()
        try merged.add(
            from: MergedParameters(
                AdaptedParameters(
                    ParameterValues(weights),
                    [AdaptedParameters.Adapter(LoRA(in: trained, scope: Stage.scope))]))
        ) { _ = try objective.student.blueprint.stage($0) }
        return merged.values
    }

    /// How the student of some steps learns from a teacher, and what it begins with.
    private func objective(
        _ steps: Int, of teacher: StudentFolder, isFirst: Bool, precision: Precision
    ) throws -> (TrajectoryObjective<Stage>, WarmStart) {
        let known = try teacher.configuration(Stage.Configuration.self)
        let weights = try teacher.parameters(over: folders.base).values()
        var (taught, student) = (self.student.blueprint, self.student)
        taught.configuration = known
        let guidance = isFirst ? plan.guidance : 1
        let source = try TrajectoryTeacher(
            taught.stage(
                ParameterValues(weights, origin: teacher.url.path), precision: precision),
            steps: known.flow?.steps ?? plan.teacherSteps ?? 4 * steps, guidance: guidance)
        let moments =
            try known.flow.map { (mean: $0.mean, deviation: $0.deviation) } ?? latents.moments()
        var flow = FlowConfiguration(
            steps: plan.hasWindows ? nil : steps,
            guidance: max(1, guidance) * max(1, known.flow?.guidance ?? 1), mean: moments.mean,
            deviation: moments.deviation)
        if plan.hasWindows { flow.windows = steps }
        if flow.steps == 1 { flow.prediction = .clean }
        student.blueprint.configuration = known
        student.blueprint.configuration.flow = flow
        var objective = TrajectoryObjective(student, teacher: source, latents: latents)
        objective.validationLatents = validationLatents
        // Who is no student yet has first to become one.
        if let adversary, known.flow?.steps != nil { objective.auxiliary = [adversary] }
        let isSame = (known.flow?.prediction ?? .noise) == flow.prediction
        let start = try WarmStart(
            weights, scope: Stage.scope, in: objective.initialParameters(seed: 0),
            renewing: isSame ? [] : [Stage.Configuration.predictionLayer],
            from: teacher.url.path)
        return (objective, start)
    }
}
