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

    @OptionGroup var training: FlowArguments

    func run() async throws {
        let training = training
        try await interruptible { try training.train(times: .uniform) }
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

    @OptionGroup var training: FlowArguments

    func run() async throws {
        let training = training
        try await interruptible { try training.train(times: .beginning) }
    }
}

/// How something is trained.
struct TrainingArguments: ParsableArguments {
    @Argument(help: "The folder of the training; it is made if it is not there.")
    var output: String

    @Option(help: "Steps of training.")
    var steps = 4000

    @Option(help: "Pairs or images of a step.")
    var batch = 32

    @Option(help: "The highest learning rate.")
    var rate: Float = 2e-4

    @Option(help: "How much of the average of the parameters stays in a step.")
    var average: Float = 0.999

    @Option(help: "Seconds between checkpoints.")
    var checkpointInterval = 120.0

    @Flag(help: "Go on where an earlier training in the folder stopped.")
    var resume = false

    func validate() throws {
        guard (1...100_000_000).contains(steps), (1...65536).contains(batch) else {
            throw ValidationError("--steps and --batch must be positive")
        }
    }

    /// Trains to the end.
    ///
    /// - Parameters:
    ///   - objective: What is trained for.
    ///   - weights: Parameters to begin with, under their published names, where there are some of that
    ///     shape.
    ///   - scope: Their scope in the training.
    ///   - run: How to compute.
    /// - Returns: The parameters.
    /// - Throws: What training throws.
    func train(
        _ objective: some TrainingObjective, beginningWith weights: [String: Tensor],
        _ scope: String, _ run: RunArguments
    ) throws -> TrainableParameters {
        var options = TrainingOptions(
            steps: steps, batchSize: batch, peakRate: rate, weightDecay: 0, averageDecay: average)
        options.precision = run.precision
        options.seed = run.seed
        options.checkpointInterval = checkpointInterval
        // The last layer of a teacher that predicts noise has another shape; the student's is new.
        let own = try objective.initialParameters(seed: 0).values
        var start: [String: Tensor] = [:]
        for (name, value) in weights where own["\(scope).\(name)"]?.shape == value.shape {
            start["\(scope).\(name)"] = value
        }
        var progress = TrainingProgress()
        progress.note(
            "training \(objective.name) in \(output), beginning with \(start.count) parameters of "
                + "\(own.count) that there are")
        return TrainableParameters(
            try TrainingRun(objective, options, in: URL(fileURLWithPath: output))
                .run(resumes: resume, start: start, progress: &progress))
    }
}

/// How a student of a diffusion stage is trained.
struct FlowArguments: ParsableArguments {
    @OptionGroup var teacher: TeacherArguments
    @OptionGroup var training: TrainingArguments

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

    @Option(
        help: """
            A student to go on from in place of the teacher: its folder, of the same architecture.
            """)
    var start: String?

    @Option(
        help: """
            For one-step, the weight of an adversary that tells the student's latents from the \
            teacher's, such as 0.005 for Stage B; 0 for none.
            """)
    var adversary: Float = 0

    @Flag(
        help: """
            Leave out the attention of Stage B's student, which then sees no text.
            """)
    var withoutAttention = false

    func validate() throws {
        if keepAttention, blocks != nil || withoutAttention {
            throw ValidationError(
                "a student of fewer blocks is stored whole; leave out --keep-attention")
        }
        guard adversary >= 0, adversary.isFinite else {
            throw ValidationError("--adversary must be a number from 0 on")
        }
        if start != nil, blocks != nil || withoutAttention {
            throw ValidationError(
                "a student to go on from has the blocks that it has; leave out --blocks and "
                    + "--without-attention")
        }
        if withoutAttention, teacher.stage == .stageC {
            throw ValidationError("without attention Stage C would not see its text")
        }
    }

    func train(times: FlowTimes) throws {
        guard adversary == 0 || times == .beginning else {
            throw ValidationError("--adversary is for one-step")
        }
        let cascade = try teacher.cascade()
        let pairs = try pairs()
        let (mean, deviation) = pairs.moments
        var flow = FlowConfiguration(
            steps: times == .beginning ? 1 : nil, guidance: pairs.record.guidance, mean: mean,
            deviation: deviation)
        // What training begins with: the stage that is distilled, or a student to go on from.
        let first = beginning
        let weights = try first.parameters()
        let begun =
            try start == nil
            ? cascade : first.checkpoint.cascade(precision: first.precision, memory: .sequential)
        switch teacher.stage {
        case .stageC:
            let deeper = try begun.stageC().configuration
            try inherit(cascade.stageC().configuration.flow, deeper.flow, &flow)
            var student = try cascade.stageCStudent(flow)
            student.configuration = deeper
            student.configuration.flow = flow
            if let blocks {
                guard blocks.count == 1, blocks[0] <= deeper.depth else {
                    throw fewerBlocks(than: [deeper.depth])
                }
                student.configuration.depth = blocks[0]
            }
            try train(
                student, student.configuration.parameters(pruning: weights, of: deeper), pairs,
                times)
        case .stageB:
            let deeper = try begun.diffusionDecoder().stageB().configuration
            try inherit(
                cascade.diffusionDecoder().stageB().configuration.flow, deeper.flow, &flow)
            var student = try cascade.stageBStudent(flow)
            student.configuration = deeper
            student.configuration.flow = flow
            if let blocks {
                guard blocks.count == deeper.blocks.count,
                    zip(blocks, deeper.blocks).allSatisfy(<=)
                else { throw fewerBlocks(than: deeper.blocks) }
                student.configuration.blocks = blocks
            }
            if withoutAttention {
                student.configuration.blockTypes = deeper.blockTypes.map {
                    $0.filter { $0 != "A" }
                }
            }
            try train(
                student, student.configuration.parameters(pruning: weights, of: deeper), pairs,
                times)
        }
    }

    /// The stage that training begins with.
    private var beginning: TeacherArguments {
        guard let start else { return teacher }
        var result = teacher
        switch teacher.stage {
        case .stageC: result.run.checkpoint.stageC = start
        case .stageB: result.run.checkpoint.stageB = start
        }
        return result
    }

    /// The couplings, which must be of the stage that is distilled and made by it.
    private func pairs() throws -> Couplings {
        let pairs = try Couplings(contentsOf: URL(fileURLWithPath: couplings))
        guard pairs.record.stage == teacher.stage.rawValue else {
            throw ValidationError(
                "\(couplings) has couplings of \(pairs.record.stage), not \(teacher.stage.rawValue)"
            )
        }
        guard try pairs.record.teacher == weightsFingerprint(of: teacher.stageFolder()) else {
            throw ValidationError(
                "\(couplings) was made by another teacher than the stage that is distilled; make "
                    + "couplings with it, or name the stage with --stage-c or --stage-b")
        }
        return pairs
    }

    /// Trains, and writes the student to the folder `student` in the output.
    private func train<Student: FlowStudent>(
        _ student: Student, _ weights: [String: Tensor], _ pairs: Couplings, _ times: FlowTimes
    ) throws {
        // Differences can replace parameters of the checkpoint's stage, and not leave any out.
        if keepAttention {
            guard try Set(weights.keys) == teacher.baseParameters().names else {
                throw ValidationError(
                    "a student of fewer blocks is stored whole; leave out --keep-attention")
            }
        }
        var objective = FlowObjective(student, couplings: pairs, times: times)
        objective.keepsAttention = keepAttention
        objective.adversaryWeight = adversary
        let trained = try training.train(
            objective, beginningWith: weights, student.scope, teacher.run)
        let folder = URL(fileURLWithPath: training.output).appendingPathComponent("student")
        try StudentFolder(folder).write(
            trained.scope(student.scope), student.configuration,
            over: keepAttention ? teacher.baseFolder() : nil)
    }

    private func fewerBlocks(than blocks: [Int]) -> ValidationError {
        ValidationError(
            "--blocks must be \(blocks.count == 1 ? "one number" : "\(blocks.count) numbers") of at most "
                + "the teacher's \(blocks.map(String.init).joined(separator: ","))")
    }

    /// A student keeps the variables of the flow that it begins with, and has in it the guidance of pairs
    /// and teacher: the pairs moved away, so many times more, what the teacher had moved already.
    private func inherit(
        _ teacher: FlowConfiguration?, _ begun: FlowConfiguration?, _ flow: inout FlowConfiguration
    ) throws {
        if let teacher { flow.guidance = max(1, flow.guidance) * max(1, teacher.guidance) }
        if let begun {
            (flow.mean, flow.deviation) = (begun.mean, begun.deviation)
        } else if let start {
            throw ValidationError("\(start) is no student: its config.json has no flow")
        }
    }
}

extension Cascade {
    /// A student of Stage C.
    func stageCStudent(_ flow: FlowConfiguration) throws -> StageCStudent {
        var student = StageCStudent(of: try stageC(), flow: flow, textEncoder: try textEncoder())
        student.preview = previewDecoder
        return student
    }

    /// A student of Stage B.
    func stageBStudent(_ flow: FlowConfiguration) throws -> StageBStudent {
        let decoder = try diffusionDecoder()
        var student = StageBStudent(
            of: try decoder.stageB(), flow: flow, latentSpace: latentSpace,
            textEncoder: try decoder.textEncoder())
        student.stageA = try decoder.stageA()
        return student
    }
}
