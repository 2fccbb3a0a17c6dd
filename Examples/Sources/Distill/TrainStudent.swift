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

    @Option(help: "Pairs or pictures of a step.")
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
struct StudentArguments: ParsableArguments {
    @OptionGroup var training: TrainingArguments

    @Option(help: "The folder of the couplings.")
    var couplings: String

    @Flag(
        help: """
            Keep the teacher's attention, and write only what differs from the checkpoint's stage: a \
            third less to store.
            """)
    var keepAttention = false

    /// Trains, and writes the student to the folder `student` in the output.
    ///
    /// - Parameters:
    ///   - objective: What is trained for.
    ///   - student: Whose parameters are written.
    ///   - weights: Parameters to begin with, under their published names.
    ///   - teacher: The stage that is distilled.
    /// - Throws: What training and writing throw.
    func train<Student: FlowStudent>(
        _ objective: some TrainingObjective, _ student: Student,
        beginningWith weights: [String: Tensor], _ teacher: TeacherArguments
    ) throws {
        // Differences can replace parameters of the checkpoint's stage, and not leave any out.
        let base = keepAttention ? try teacher.baseParameters() : [:]
        if keepAttention {
            let own = try student.initialParameters(seed: 0).scope(student.scope)
            guard Set(own.keys) == Set(base.keys) else {
                throw ValidationError(
                    "a student of fewer blocks is stored whole; leave out --keep-attention")
            }
        }
        let trained = try training.train(
            objective, beginningWith: weights, student.scope, teacher.run)
        var learnt = trained.scope(student.scope)
        var metadata: [String: String] = [:]
        if keepAttention {
            // In 16 bits, as they are written.
            learnt = learnt.filter { name, value in
                base[name]?.elements.map { Float16($0) } != value.elements.map { Float16($0) }
            }
            metadata["base"] = try weightsDigest(of: teacher.baseFolder())
        }
        try CheckpointExport(to: URL(fileURLWithPath: training.output)).write(
            learnt, student.configuration, to: "student",
            stem: keepAttention ? "differences" : "diffusion_pytorch_model", metadata: metadata)
    }

    /// The couplings, which must be of the stage that is distilled.
    func pairs(_ teacher: TeacherArguments) throws -> Couplings {
        let pairs = try Couplings(contentsOf: URL(fileURLWithPath: couplings))
        guard pairs.record.stage == teacher.stage.rawValue else {
            throw ValidationError(
                "\(couplings) has couplings of \(pairs.record.stage), not \(teacher.stage.rawValue)"
            )
        }
        return pairs
    }
}

/// Students that learn from couplings alone.
struct FlowArguments: ParsableArguments {
    @OptionGroup var teacher: TeacherArguments
    @OptionGroup var student: StudentArguments

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
        if student.keepAttention, blocks != nil || withoutAttention {
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
        let pairs = try student.pairs(teacher)
        guard try pairs.record.teacher == weightsDigest(of: teacher.stageFolder()) else {
            throw ValidationError(
                "\(student.couplings) was made by another teacher than the stage that is distilled; "
                    + "make couplings with it, or name the stage with --stage-c or --stage-b")
        }
        let begun = start.map { URL(fileURLWithPath: $0) }
        let weights =
            try begun.map {
                try CheckpointFolder.parameters(of: $0, over: teacher.baseFolder()).values()
            } ?? teacher.parameters()
        let (mean, deviation) = pairs.moments
        var flow = FlowConfiguration(
            steps: times == .beginning ? 1 : nil, guidance: pairs.record.guidance, mean: mean,
            deviation: deviation)
        switch teacher.stage {
        case .stageC:
            let deeper = try cascade.stageC().configuration
            inherit(deeper.flow, &flow)
            var student = try cascade.stageCStudent(flow)
            if let begun { try student.configuration.goOn(from: begun, flow) }
            if let blocks {
                guard blocks.count == 1, blocks[0] <= deeper.depth else {
                    throw fewerBlocks(than: [deeper.depth])
                }
                student.configuration.depth = blocks[0]
            }
            try train(
                student,
                begun == nil
                    ? student.configuration.parameters(pruning: weights, of: deeper) : weights,
                pairs, times)
        case .stageB:
            let deeper = try cascade.diffusionDecoder().stageB().configuration
            inherit(deeper.flow, &flow)
            var student = try cascade.stageBStudent(flow)
            if let begun { try student.configuration.goOn(from: begun, flow) }
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
                student,
                begun == nil
                    ? student.configuration.parameters(pruning: weights, of: deeper) : weights,
                pairs, times)
        }
    }

    private func train<Student: FlowStudent>(
        _ learner: Student, _ weights: [String: Tensor], _ pairs: Couplings, _ times: FlowTimes
    ) throws {
        var objective = FlowObjective(learner, couplings: pairs, times: times)
        objective.keepsAttention = student.keepAttention
        objective.adversaryWeight = adversary
        try student.train(
            objective, learner, beginningWith: weights, teacher)
    }

    private func fewerBlocks(than blocks: [Int]) -> ValidationError {
        ValidationError(
            "--blocks must be \(blocks.count == 1 ? "one number" : "\(blocks.count) numbers") of at most "
                + "the teacher's \(blocks.map(String.init).joined(separator: ","))")
    }

    /// A student of a flow keeps its variables, and has in it the guidance of both: the pairs moved
    /// away, so many times more, what the teacher had moved already.
    private func inherit(_ teacher: FlowConfiguration?, _ flow: inout FlowConfiguration) {
        guard let teacher else { return }
        (flow.mean, flow.deviation) = (teacher.mean, teacher.deviation)
        flow.guidance = max(1, flow.guidance) * max(1, teacher.guidance)
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

/// The architecture of a stage that may be a flow.
private protocol FlowArchitecture: Decodable {
    var flow: FlowConfiguration? { get set }
}

extension StageC.Configuration: FlowArchitecture {}
extension StageB.Configuration: FlowArchitecture {}

extension FlowArchitecture {
    /// Takes over the architecture of a student in a folder, and the variables of its flow.
    fileprivate mutating func goOn(from folder: URL, _ flow: FlowConfiguration) throws {
        let file = folder.appendingPathComponent("config.json")
        do {
            self = try JSONDecoder().decode(Self.self, from: Data(contentsOf: file))
        } catch {
            throw WuerstchenError(
                .malformedFile, "\(file.path) cannot be read as a configuration", underlying: error)
        }
        guard let own = self.flow else {
            throw ValidationError("\(folder.path) is no student: its config.json has no flow")
        }
        var flow = flow
        (flow.mean, flow.deviation) = (own.mean, own.deviation)
        self.flow = flow
    }
}
