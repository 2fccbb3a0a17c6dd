import ArgumentParser
import ExampleSupport
import Foundation
import TensorCore
import Wuerstchen
import WuerstchenTraining

struct Reflow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reflow",
        abstract: "Train a student whose flow is straighter than its teacher's.",
        discussion: """
            The student begins with the teacher's weights (those of --stage-c or --stage-b where it was \
            reflowed before, which straightens once more) and learns its couplings at all times. The \
            folder `student` in the output then stands in for the checkpoint's stage.
            """)

    @OptionGroup var teacher: TeacherArguments
    @OptionGroup var student: StudentArguments

    func run() async throws {
        let (teacher, student) = (teacher, student)
        try await interruptible { try student.train(teacher, times: .uniform) }
    }
}

struct OneStep: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "one-step",
        abstract: "Train a student that takes a single step.",
        discussion: """
            The student begins with the teacher's weights (those of --stage-c or --stage-b where it was \
            reflowed) and learns where each noise of the couplings ends. Couplings of a reflowed \
            teacher can be learnt well; those of one that was not are the comparison that the InstaFlow \
            paper makes.
            """)

    @OptionGroup var teacher: TeacherArguments
    @OptionGroup var student: StudentArguments

    func run() async throws {
        let (teacher, student) = (teacher, student)
        try await interruptible { try student.train(teacher, times: .beginning) }
    }
}

/// How a student is trained.
struct StudentArguments: ParsableArguments {
    @Argument(help: "The folder of the training; it is made if it is not there.")
    var output: String

    @Option(help: "The folder of the couplings.")
    var couplings: String

    @Option(help: "Steps of training.")
    var steps = 4000

    @Option(help: "Pairs of a step.")
    var batch = 32

    @Option(help: "The highest learning rate.")
    var rate: Float = 2e-4

    @Option(help: "How much of the average of the parameters stays in a step.")
    var average: Float = 0.999

    @Flag(
        help: """
            Keep the teacher's attention, and write only what differs from the checkpoint's stage: a \
            third less to store.
            """)
    var keepAttention = false

    @Option(help: "Seconds between checkpoints.")
    var checkpointInterval = 120.0

    @Flag(help: "Go on where an earlier training in the folder stopped.")
    var resume = false

    func validate() throws {
        guard (1...100_000_000).contains(steps), (1...65536).contains(batch) else {
            throw ValidationError("--steps and --batch must be positive")
        }
    }

    func train(_ teacher: TeacherArguments, times: FlowTimes) throws {
        let cascade = try teacher.cascade()
        let pairs = try Couplings(contentsOf: URL(fileURLWithPath: couplings))
        guard pairs.record.stage == teacher.stage.rawValue else {
            throw ValidationError(
                "\(couplings) has couplings of \(pairs.record.stage), not \(teacher.stage.rawValue)"
            )
        }
        guard try pairs.record.teacher == weightsDigest(of: teacher.stageFolder()) else {
            throw ValidationError(
                "\(couplings) was made by another teacher than the stage that the student begins with; "
                    + "make couplings with it, or name the stage with --stage-c or --stage-b")
        }
        let weights = try CheckpointFolder.parameters(
            of: teacher.stageFolder(), over: teacher.baseFolder()
        ).values()
        let (mean, deviation) = pairs.moments
        var flow = FlowConfiguration(
            steps: times == .beginning ? 1 : nil, guidance: pairs.record.guidance, mean: mean,
            deviation: deviation)
        switch teacher.stage {
        case .stageC:
            let stage = try cascade.stageC()
            inherit(stage.configuration.flow, &flow)
            var student = StageCStudent(
                of: stage, flow: flow, textEncoder: try cascade.textEncoder())
            student.preview = cascade.previewDecoder
            try train(student, student.configuration, "stage_c", weights, pairs, times, teacher)
        case .stageB:
            let decoder = try cascade.diffusionDecoder()
            let stage = try decoder.stageB()
            inherit(stage.configuration.flow, &flow)
            var student = StageBStudent(
                of: stage, flow: flow, latentSpace: cascade.latentSpace,
                textEncoder: try decoder.textEncoder())
            student.stageA = try decoder.stageA()
            try train(student, student.configuration, "stage_b", weights, pairs, times, teacher)
        }
    }

    /// A student of a flow keeps its variables, and has in it the guidance of both: the pairs moved
    /// away, so many times more, what the teacher had moved already.
    private func inherit(_ teacher: FlowConfiguration?, _ flow: inout FlowConfiguration) {
        guard let teacher else { return }
        (flow.mean, flow.deviation) = (teacher.mean, teacher.deviation)
        flow.guidance = max(1, flow.guidance) * max(1, teacher.guidance)
    }

    private func train<Student: FlowStudent>(
        _ student: Student, _ configuration: some Encodable, _ scope: String,
        _ weights: [String: Tensor], _ pairs: Couplings, _ times: FlowTimes,
        _ teacher: TeacherArguments
    ) throws {
        var objective = FlowObjective(student, couplings: pairs, times: times)
        objective.keepsAttention = keepAttention
        var options = TrainingOptions(
            steps: steps, batchSize: batch, peakRate: rate, weightDecay: 0, averageDecay: average)
        options.precision = teacher.precision
        options.seed = teacher.seed
        options.checkpointInterval = checkpointInterval
        // The last layer of a teacher that predicts noise has another shape; the student's is new.
        let own = try student.initialParameters(seed: 0).values
        var start: [String: Tensor] = [:]
        for (name, value) in weights {
            let name = "\(scope).\(name)"
            if own[name]?.shape == value.shape { start[name] = value }
        }
        var progress = TrainingProgress()
        progress.note(
            "training \(objective.name) on \(pairs.count) couplings in \(output), beginning with "
                + "\(start.count) of \(own.count) of the teacher's parameters")
        let folder = URL(fileURLWithPath: output)
        let trained = TrainableParameters(
            try TrainingRun(objective, options, in: folder)
                .run(resumes: resume, start: start, progress: &progress))
        var learnt = trained.scope(scope)
        var metadata: [String: String] = [:]
        if keepAttention {
            // In 16 bits, as they are written.
            let base = try CheckpointFolder.parameters(
                of: teacher.baseFolder(), over: teacher.baseFolder()
            ).values()
            learnt = learnt.filter { name, value in
                base[name]?.elements.map { Float16($0) } != value.elements.map { Float16($0) }
            }
            metadata["base"] = try weightsDigest(of: teacher.baseFolder())
        }
        try CheckpointExport(to: folder).write(
            learnt, configuration, to: "student",
            stem: keepAttention ? "differences" : "diffusion_pytorch_model", metadata: metadata)
    }
}
