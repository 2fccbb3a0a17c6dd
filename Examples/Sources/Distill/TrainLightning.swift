import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen
import WuerstchenTraining

struct Lightning: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lightning",
        abstract: "Train students of fewer and fewer steps, each the next one's teacher.",
        discussion: """
            The first learns by a mean squared error, and the teacher's guidance with it; the \
            others learn against a discriminator that has a copy of the stage itself for a body \
            (progressive adversarial distillation, SDXL-Lightning). Each has a folder of its own \
            in the output, such as 4-steps, with its report and the folder `student`. Stages of \
            all commands take the output as a whole too, as in --stage-c OUTPUT --stage-c-steps \
            4.
            """)

    @OptionGroup var student: ProgressiveArguments

    @Option(
        help: """
            Steps of the students: a list such as 8,4,2,1, each a part of the one before, or the \
            number at which 8,4,2,1 ends.
            """,
        transform: { text in
            let steps = try text.split(separator: ",", omittingEmptySubsequences: false).map {
                guard let count = Int($0), count > 0 else {
                    throw ValidationError("--steps takes positive numbers such as 8,4,2,1")
                }
                return count
            }
            return steps.count == 1 ? ProgressivePlan.steps(downTo: steps[0]) : steps
        })
    var steps: [Int]

    @Flag(
        help: """
            Train all students by a mean squared error alone, to see what the discriminator is \
            good for.
            """)
    var meanSquare = false

    @Option(
        help: """
            Let the second student and those after it learn adapters of this rank in place of \
            all weights, and merge them. The student of one step learns all weights in any case. \
            (default: all weights)
            """)
    var lora: Int?

    func validate() throws {
        guard lora.map({ (1...4096).contains($0) }) ?? true else {
            throw ValidationError("--lora must be 1 to 4096")
        }
    }

    func run() async throws {
        let command = self
        try await interruptible(by: .together) {
            try command.student.train(
                ProgressivePlan(
                    steps: command.steps, teacherSteps: command.student.teacherSteps,
                    guidance: command.student.weight()),
                isAdversarial: !command.meanSquare,
                adapters: command.lora.map { LoRAConfiguration(rank: $0) })
        }
    }
}

struct Windows: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "windows",
        abstract: "Train a student whose flow is straight in each of some windows of time.",
        discussion: """
            It takes any multiple of so many steps (PeRFlow). There is no discriminator, and no \
            couplings are needed. The folder `student` in that of the windows, such as \
            4-windows, then stands in for the checkpoint's stage.
            """)

    @OptionGroup var student: ProgressiveArguments

    @Option(help: "The number of windows.")
    var windows = 4

    func run() async throws {
        let command = self
        try await interruptible(by: .together) {
            try command.student.train(
                ProgressivePlan(
                    windows: command.windows, teacherSteps: command.student.teacherSteps,
                    guidance: command.student.weight()), isAdversarial: false)
        }
    }
}

/// How students learn the steps of a teacher.
struct ProgressiveArguments: ParsableArguments {
    @Argument(help: "The folder of the trainings; it is made if it is not there.")
    var output: String

    @OptionGroup var teacher: TeacherArguments

    @Option(
        help: """
            Steps of the first teacher, a multiple of its student's. (default: four times as \
            many, or a student's own)
            """)
    var teacherSteps: Int?

    @Option(
        help: """
            Guidance of the first teacher, which its students have in them. (default: 4 for a \
            Stage C that was not distilled yet, none for others)
            """)
    var guidance: Float?

    @OptionGroup var data: LatentArguments

    @Option(help: "Steps of training for a student that learns without discriminator.")
    var iterations = 1500

    @Option(help: "Steps of training for a student that learns with one.")
    var adversarialIterations = 1000

    @Option(help: "Latents of a step of training.")
    var batch = 32

    @OptionGroup var sharing: SharingArguments

    @Option(
        help: """
            Latents that are computed at a time, to need less memory. (default: all of a step)
            """)
    var microBatch: Int?

    @Option(help: "The highest learning rate without discriminator.")
    var rate: Float = 1e-4

    @Option(help: "The highest learning rate with one.")
    var adversarialRate: Float = 2e-5

    @Option(help: "How much of the average of the parameters stays in a step.")
    var average: Float = 0.995

    @Option(help: "Seconds between checkpoints.")
    var checkpointInterval = 120.0

    @Flag(help: "Go on where an earlier distillation in the folder stopped.")
    var resume = false

    @Option(help: "The numbers that weights are exported as: float32, float16 or bfloat16.")
    var elementType = WeightElementType.float16

    func validate() throws {
        try data.validate(teacher.run.checkpoint)
        guard (1...100_000_000).contains(iterations), (1...65536).contains(batch),
            (1...100_000_000).contains(adversarialIterations)
        else {
            throw ValidationError(
                "--iterations and --adversarial-iterations must be 1 to 100000000 and --batch 1 to "
                    + "65536")
        }
        if let microBatch, microBatch < 1 || batch % microBatch != 0 {
            throw ValidationError("--micro-batch must divide --batch")
        }
        for options in [meanSquare, adversarial] { try options.validate() }
    }

    /// The teacher's guidance: by default what it is sampled with, and none for a flow.
    func weight() throws -> Float {
        if let guidance { return guidance }
        return try weight(teacher.stage.type)
    }

    private func weight<Stage: CascadeStage>(_ type: Stage.Type) throws -> Float {
        max(
            1,
            try Stage.part(in: teacher.run.cascade()).description().defaultSampling.guidance)
    }

    func train(
        _ plan: ProgressivePlan, isAdversarial: Bool, adapters: LoRAConfiguration? = nil
    ) throws {
        try train(teacher.stage.type, plan, isAdversarial, adapters)
    }

    private func train<Stage: CascadeStage>(
        _ type: Stage.Type, _ plan: ProgressivePlan, _ isAdversarial: Bool,
        _ adapters: LoRAConfiguration?
    ) throws {
        let cascade = try teacher.run.cascade()
        let sources = try data.latents(of: type, cascade, teacher)
        let folders = try teacher.folders(of: type)
        var distillation = try ProgressiveDistillation(
            FlowStudent<Stage>(of: cascade), in: folders, latents: sources.latents, plan: plan)
        distillation.validationLatents = sources.heldOut
        distillation.adapters = adapters
        if isAdversarial {
            distillation.adversary = try FeatureAdversary<Stage>(
                of: cascade, weightsIn: folders.base)
        }
        var progress = TrainingProgress()
        try distillation.run(
            meanSquare: meanSquare, adversarial: adversarial, in: URL(fileURLWithPath: output),
            resumes: resume, elementType: elementType,
            progress: &progress)
    }

    private var meanSquare: TrainingOptions {
        options(iterations, rate, AdamW(betas: (0.9, 0.99), weightDecay: 0))
    }

    private var adversarial: TrainingOptions {
        options(
            adversarialIterations, adversarialRate, AdamW(betas: (0, 0.99), weightDecay: 0))
    }

    private func options(
        _ steps: Int, _ rate: Float, _ optimizer: AdamW
    ) -> TrainingOptions {
        var options = TrainingOptions(
            steps: steps, batchSize: batch, peakRate: rate, averageDecay: average)
        options.optimizer = optimizer
        options.microBatches = batch / (microBatch ?? batch)
        sharing.apply(to: &options)
        options.precision = teacher.run.compute.precision
        options.seed = teacher.run.compute.seed
        options.checkpointInterval = checkpointInterval
        return options
    }
}
