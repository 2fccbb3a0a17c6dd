public import TensorCore
public import Wuerstchen
internal import WuerstchenNN

/// Learning to take several steps of a teacher in one (Salimans and Ho, "Progressive Distillation
/// for Fast Sampling of Diffusion Models", 2022; Lin et al., "SDXL-Lightning", 2024), or to be
/// straight in each of some windows of time (Yan et al., "PeRFlow", 2024).
///
/// Clean latents are noised to a time; the teacher goes on from there to the end of the student's
/// step, and the student's velocity is to lead there at once. At the beginning there is nothing but
/// noise, as there will be in sampling. The teacher's guidance becomes a part of the student.
///
/// A student of windows learns the velocity at all times of a window, not at its beginning alone,
/// so that it can be sampled in any multiple of so many steps.
public struct TrajectoryObjective<Stage: TrainableStage>: ExtendableObjective
where Stage.Configuration: DistillableConfiguration {
    /// What learns; its flow says in how many steps or windows.
    public var student: FlowStudent<Stage>
    /// What it learns from.
    public var teacher: TrajectoryTeacher<Stage>
    /// Clean latents that are noised.
    public var latents: any LatentSource
    /// Latents that are not learnt from.
    @Incidental public var validationLatents: (any LatentSource)? = nil
    /// Losses beside the error, such as ``FeatureAdversary``.
    public var auxiliary: [any AuxiliaryLoss<TrajectoryOutput>] = []

    /// An objective of the given parts.
    public init(
        _ student: FlowStudent<Stage>, teacher: TrajectoryTeacher<Stage>,
        latents: any LatentSource
    ) {
        self.student = student
        self.teacher = teacher
        self.latents = latents
    }

    private var flow: FlowConfiguration? { student.blueprint.configuration.flow }

    /// The training's name.
    public var name: String {
        let count = flow?.windows.map { "\($0)-windows" } ?? "\(grid.steps)-steps"
        return "\(Stage.identifier)-\(count)"
    }

    /// The student's steps.
    var grid: StepGrid { StepGrid(steps: flow?.steps ?? flow?.windows ?? 1) }

    /// Refuses a student that does not say in how many steps, and one whose steps the teacher's do
    /// not add up to.
    public func validate() throws {
        guard let count = flow?.steps ?? flow?.windows else {
            throw WuerstchenError(
                .invalidRequest,
                "this student takes any number of steps; say how many it is to learn")
        }
        guard teacher.steps.isMultiple(of: count), teacher.steps > count || flow?.windows != nil
        else {
            throw WuerstchenError(
                .invalidRequest,
                "a teacher of \(teacher.steps) steps cannot teach \(count): its steps must be a "
                    + "multiple, such as \(2 * count)")
        }
    }

    /// The student's parameters, and the auxiliary losses'.
    public func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try parameters.add(student.blueprint, seed: seed)
        try auxiliary.addInitialParameters(to: &parameters, seed: seed)
        return parameters
    }

    /// The loss of a batch.
    public func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        var random = step.random
        let batch = try latents.latents(step.batch, count: step.batchSize)
        let field = try student.field(
            parameters.source(Stage.scope), batch.conditions, precision: step.precision)
        let clean = field.map.normalized(batch.clean)
        let times = (0..<step.batchSize).map { _ in grid.draw(&random) }
        let ends = times.map(grid.end)
        let noise = random.normal(clean.shape)
        // At the flow's beginning this is the noise itself.
        var start =
            clean.scaled(bySample: times.map { Float($0) })
            + noise.scaled(bySample: times.map { Float(1 - $0) })
        let end = try teacher.follow(
            start, from: times, to: ends, in: field.map, under: batch.conditions, student.context)
        let widths = zip(times, ends).map { $1 - $0 }
        let wanted = (end - start).scaled(bySample: widths.map { Float(1 / $0) })
        var places = times
        if flow?.windows != nil {
            let shares = times.map { _ in Double(random.uniform()) }
            places = zip(times, zip(shares, widths)).map { $0 + $1.0 * $1.1 }
            start = start + wanted.scaled(bySample: zip(shares, widths).map { Float($0 * $1) })
        }
        let seen = try field(start, at: places)
        let error = (seen.velocity - wanted).meanSquare()
        var loss = TrainingLoss(error)
        guard !auxiliary.isEmpty else { return loss }
        loss.metrics["error"] = error.detached().elements[0]
        let output = TrajectoryOutput(
            start: start, times: places, ends: ends, real: end,
            fake: start
                + seen.velocity.scaled(bySample: zip(places, ends).map { Float($1 - $0) }),
            conditions: batch.conditions, map: field.map, steps: grid.steps,
            predictsClean: flow?.prediction == .clean, random: random)
        try auxiliary.add(to: &loss, output, parameters, step)
        return loss
    }

    /// The same over latents that are not learnt from.
    public var validation: TrajectoryObjective? {
        replacing(\.latents, by: validationLatents) { $0.auxiliary = auxiliary.validation() }
    }

    /// How far the student's steps from noise end from the teacher's, and how much of the variety
    /// is left: 1 for as much as the teacher's.
    public func measurements(_ parameters: [String: Tensor]) throws -> [String: Float] {
        let ends = try ends(parameters, count: 32)
        return [
            Self.gapName: relativeDistance(ends.student, ends.teacher),
            Self.varietyName: (ends.student.spread / ends.teacher.spread).squareRoot(),
        ]
    }

    static var gapName: String { "gap to the teacher" }
    static var varietyName: String { "variety" }

    /// What an adversary notices, and a student that makes much the same of everything.
    public func warnings(_ log: [MetricsLog.Entry]) -> [String] {
        var result = auxiliary.warnings(log)
        if let variety = log.last?.metrics[Self.varietyName], variety < 0.5 {
            result.append(
                "the student has collapsed: its latents differ \(Int(100 * variety)) % as much as the "
                    + "teacher's. Train anew with a lower rate or a stronger anchor")
        }
        return result
    }

    /// Latents of always the same noise under captions that are not learnt from.
    private func ends(
        _ parameters: [String: Tensor], count: Int
    ) throws -> (teacher: Tensor, student: Tensor, captions: [String]) {
        let batch = try (validationLatents ?? latents).latents(0, count: count)
        var random = RandomStream(0, 21)
        let noise = random.normal(batch.clean.shape)
        let field = try student.field(
            StepParameters(fixed: parameters).source(Stage.scope), batch.conditions,
            precision: .bfloat16)
        let start = [Double](repeating: 0, count: count)
        let end = [Double](repeating: 1, count: count)
        let taught = try teacher.follow(
            noise, from: start, to: end, in: field.map, under: batch.conditions, student.context)
        let learnt = try field.solve(
            from: noise, timesteps: field.map.timesteps(count: grid.steps), solver: .euler)
        return (field.map.latents(taught), learnt.latent, batch.conditions.captions)
    }

    /// What teacher and student make of the same noise.
    public func contactSheet(_ parameters: [String: Tensor]) throws -> ContactSheet? {
        let ends = try ends(parameters, count: 8)
        guard let taught = try student.context.pixels(of: ends.teacher),
            let learnt = try student.context.pixels(of: ends.student)
        else { return nil }
        var sheet = ContactSheet(title: name, imageSide: 160)
        try sheet.addRow("teacher, \(teacher.steps) steps", taught, captions: ends.captions)
        try sheet.addRow(
            "student, \(FlowConfiguration.words(steps: grid.steps))", learnt)
        return sheet
    }
}

/// A student's step beside its teacher's, as auxiliary losses are given it: latents of the flow,
/// `[batch, height, width, channels]`.
public struct TrajectoryOutput: AdversarialOutput {
    /// Where the step begins.
    public let start: Tensor
    /// For each sample the flow's time there.
    public let times: [Double]
    /// For each sample the time where the step ends.
    public let ends: [Double]
    /// Where the teacher's steps end.
    public let real: Tensor
    /// Where the student's step ends; gradients pass through it.
    public let fake: Tensor
    /// What they are conditioned on.
    public let conditions: CouplingConditions
    /// The flow's variables.
    public let map: FlowMap
    /// The student's steps.
    public let steps: Int
    /// Whether the student predicts clean latents, which it has to learn first.
    public let predictsClean: Bool
    /// Random numbers that the objective has no more use for.
    public let random: RandomStream
}
