public import Foundation
internal import TensorCore
public import Wuerstchen

/// The configuration of a stage that can be distilled.
public protocol DistillableConfiguration: PrunableConfiguration {
    /// What makes the stage a flow; nil for one that predicts noise.
    var flow: FlowConfiguration? { get set }
    /// The layer whose shape depends on whether the stage is a flow, such as `out.1`.
    static var predictionLayer: String { get }

    /// Whether a parameter belongs to an attention layer, by its name in the network.
    static func isAttention(_ parameter: String) -> Bool
}

extension DistillableConfiguration {
    /// By default the names are those of the published stages.
    public static func isAttention(_ parameter: String) -> Bool {
        parameter.contains(".attention.") || parameter.contains(".kv_mapper.")
    }
}

extension StageC.Configuration: DistillableConfiguration {
    /// The last layer.
    public static let predictionLayer = "out.1"
}

extension StageB.Configuration: DistillableConfiguration {
    /// The last layer.
    public static let predictionLayer = "clf.1"
}

/// Where the stages of a distillation lie.
public struct DistillationFolders: Sendable, Hashable {
    /// The checkpoint's own stage, which a teacher's or student's differences are from.
    public var base: URL
    /// The teacher, which made the couplings.
    public var teacher: URL
    /// A student to go on from in place of the teacher; nil for none.
    public var beginning: URL?

    /// The given folders; the base is the teacher if no other is named.
    public init(base: URL, teacher: URL? = nil, beginning: URL? = nil) {
        self.base = base
        self.teacher = teacher ?? base
        self.beginning = beginning
    }

    /// The folders of a checkpoint's stage.
    ///
    /// - Parameters:
    ///   - type: Which stage, such as `StageC.self`.
    ///   - checkpoint: The checkpoint's folder.
    ///   - replacements: Folders of stages in place of its own, the teacher's among them.
    ///   - beginning: A student to go on from in place of the teacher; nil for none.
    public init(
        _ type: (some CascadeStage).Type, in checkpoint: URL,
        replacing replacements: StageFolders = StageFolders(), beginning: URL? = nil
    ) {
        self.init(
            base: checkpoint.appendingPathComponent(type.network.path),
            teacher: type.replacement(in: replacements), beginning: beginning)
    }
}

/// A distillation of a stage from couplings to the folder of a student, which then stands in for
/// it.
public struct Distillation<Stage: TrainableStage>: Sendable
where Stage.Configuration: DistillableConfiguration {
    /// How the student is learnt.
    public var objective: FlowObjective<Stage>
    private let folders: DistillationFolders
    private let weights: [String: Tensor]
    private let renewed: Set<String>
    private let keepsAttention: Bool

    /// Finds out what the student is to be, and refuses what cannot be meant before anything is
    /// computed.
    ///
    /// - Parameters:
    ///   - student: The student; its configuration does not matter.
    ///   - folders: Where its teacher lies and what it begins with.
    ///   - couplings: What it learns from.
    ///   - times: Which of the flow's times it learns.
    ///   - pruning: What it has fewer of than its teacher.
    ///   - keepsAttention: Whether attention stays the teacher's, and only what differs from the
    ///     base is stored.
    /// - Throws: `WuerstchenError` with code `invalidRequest` when another teacher made the
    ///   couplings, the student to go on from is no flow or would be pruned, or the pruning makes
    ///   no sense;
    ///   `incompatibleParameters` when a pruned student would be stored as differences; and what
    ///   reading files throws.
    public init(
        _ student: FlowStudent<Stage>, in folders: DistillationFolders, couplings: Couplings,
        times: FlowTimes, pruning: StagePruning = StagePruning(),
        keepsAttention: Bool = false
    ) throws {
        try couplings.requireTeacher(Stage.identifier, in: folders.teacher)
        guard folders.beginning == nil || pruning.isEmpty else {
            throw WuerstchenError(
                .invalidRequest,
                "a student to go on from has the blocks that it has; prune its teacher instead")
        }
        let beginning = StudentFolder(folders.beginning ?? folders.teacher)
        let begun = try beginning.configuration(Stage.Configuration.self)
        if folders.beginning != nil, begun.flow == nil {
            throw WuerstchenError(
                .invalidRequest, "\(beginning.url.path) is no student: its config.json has no flow")
        }
        let teacher = try StudentFolder(folders.teacher)
            .configuration(Stage.Configuration.self)
        var student = student
        var configuration = try begun.pruned(pruning)
        configuration.flow = FlowConfiguration(
            learning: couplings, times, from: teacher.flow, beginningAs: begun.flow)
        student.blueprint.configuration = configuration
        weights = configuration.parameters(
            pruning: try beginning.parameters(over: folders.base).values(), of: begun)
        if keepsAttention {
            try StudentFolder.requireSameNames(Set(weights.keys), as: folders.base)
        }
        renewed = begun.flow == nil ? [Stage.Configuration.predictionLayer] : []
        objective = FlowObjective(student, couplings: couplings, times: times)
        objective.keepsAttention = keepsAttention
        self.keepsAttention = keepsAttention
        self.folders = folders
    }

    /// Trains, and writes the student to the folder `student` in that of the training.
    ///
    /// - Parameters:
    ///   - options: How to train.
    ///   - folder: The folder of the training.
    ///   - resumes: Whether to go on where an earlier training in the folder stopped.
    ///   - elementType: The numbers that the student's weights are stored as.
    ///   - progress: Where to report.
    /// - Returns: The student's folder.
    /// - Throws: `WuerstchenError` with code `incompatibleParameters` when what it begins with
    ///   does not fit, and what training and writing throw.
    @discardableResult
    public func run(
        _ options: TrainingOptions, in folder: URL, resumes: Bool = false,
        elementType: WeightElementType = .float16, progress: inout TrainingProgress
    ) throws -> StudentFolder {
        let start = try WarmStart(
            weights, scope: Stage.scope, in: objective.initialParameters(seed: 0),
            renewing: renewed, from: (folders.beginning ?? folders.teacher).path)
        let learnt = try objective.train(
            from: start, scope: Stage.scope, options, in: folder, resumes: resumes,
            progress: &progress)
        let target = StudentFolder(folder.appendingPathComponent("student"))
        try ProcessGroup.inFirst {
            try target.write(
                learnt, objective.student.blueprint.configuration, base: folders.base,
                storesDifferences: keepsAttention, elementType: elementType)
        }
        return target
    }
}

extension FlowConfiguration {
    /// What a student of some couplings is.
    ///
    /// It has in it the guidance of pairs and teacher: the pairs moved away, so many times more,
    /// what the teacher had moved already. It keeps the variables of the flow that it begins with,
    /// if that is one.
    init(
        learning couplings: Couplings, _ times: FlowTimes, from teacher: FlowConfiguration?,
        beginningAs begun: FlowConfiguration?
    ) {
        let (mean, deviation) = couplings.moments
        var guidance = couplings.record.guidance
        if let teacher { guidance = max(1, guidance) * max(1, teacher.guidance) }
        self.init(
            steps: times.steps, guidance: guidance, mean: begun?.mean ?? mean,
            deviation: begun?.deviation ?? deviation)
    }
}

extension TrainingObjective {
    /// Trains to the end, beginning with some weights.
    ///
    /// - Returns: The averaged parameters of one scope, without it.
    func train(
        from start: WarmStart, scope: String, _ options: TrainingOptions, in folder: URL,
        resumes: Bool, progress: inout TrainingProgress
    ) throws -> [String: Tensor] {
        progress.note(
            "training \(name) in \(folder.path), beginning with \(start.parameters.count) parameters"
                + (start.new.isEmpty ? "" : "; new are \(start.new.joined(separator: ", "))"))
        let trained = try TrainingRun(self, options, in: folder)
            .run(resumes: resumes, start: start.parameters, progress: &progress)
        return TrainableParameters(trained).scope(scope)
    }
}
