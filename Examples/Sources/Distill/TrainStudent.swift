import ArgumentParser
import ExampleSupport
import Foundation
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

    @OptionGroup var student: StudentArguments

    func run() async throws {
        let student = student
        try await interruptible(by: .together) { try student.train(.uniform) }
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

    @OptionGroup var student: StudentArguments

    @Option(
        help: """
            The weight of a discriminator that tells the student's latents from the teacher's, \
            such as 0.005 for Stage B; 0 for none.
            """)
    var adversary: Float = 0

    func validate() throws {
        try requireWeight(adversary, "--adversary")
    }

    func run() async throws {
        let (student, adversary) = (student, adversary)
        try await interruptible(by: .together) {
            try student.train(.beginning, adversary: adversary)
        }
    }
}

/// How a student of a diffusion stage is trained.
struct StudentArguments: ParsableArguments {
    @OptionGroup var teacher: TeacherArguments
    @OptionGroup var training: TrainingArguments<StudentDefaults>

    @Option(help: "The folder of the couplings.")
    var couplings: String

    @Flag(
        help: """
            Keep the teacher's attention, and write only what differs from the checkpoint's stage: a \
            third less to store.
            """)
    var keepAttention = false

    @Option(
        help: """
            Groups of blocks that the student has, at most its teacher's: one number for Stage C, one \
            for each level of Stage B, such as 1,1,2. (default: the teacher's)
            """,
        transform: { text in
            try text.split(separator: ",", omittingEmptySubsequences: false).map {
                guard let count = Int($0), count > 0 else {
                    throw ValidationError("--blocks takes positive numbers such as 1,1,2")
                }
                return count
            }
        })
    var blocks: [Int]?

    @Flag(help: "Leave out the attention of Stage B's student, which then sees no text.")
    var withoutAttention = false

    @Option(help: "A student to go on from in place of the teacher: its folder.")
    var start: String?

    func validate() throws {
        try training.options(teacher.run.compute).validate()
    }

    func train(_ times: FlowTimes, adversary: Float = 0) throws {
        try train(teacher.stage.type, times, adversary)
    }

    private func train<Stage: CascadeStage>(
        _ type: Stage.Type, _ times: FlowTimes, _ adversary: Float
    ) throws {
        var distillation = try Distillation(
            FlowStudent<Stage>(of: teacher.run.cascade()),
            in: teacher.folders(of: type, beginning: start),
            couplings: Couplings(contentsOf: URL(fileURLWithPath: couplings)), times: times,
            pruning: StagePruning(blocks: blocks, removesAttention: withoutAttention),
            keepsAttention: keepAttention)
        if adversary > 0 {
            distillation.objective.auxiliary = [
                AdversarialLoss.latents(
                    of: distillation.objective.couplings, weight: adversary)
            ]
        }
        var progress = TrainingProgress()
        try distillation.run(
            training.options(teacher.run.compute), in: training.folder, resumes: training.resume,
            elementType: training.elementType, progress: &progress)
    }
}
