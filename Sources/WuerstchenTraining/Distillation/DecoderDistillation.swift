public import Foundation
internal import TensorCore
public import Wuerstchen

/// A distillation of Stage A to one whose decoder has fewer blocks.
public struct DecoderDistillation: Sendable {
    /// How the student is learnt.
    public var objective: DecoderObjective
    private let start: WarmStart
    private let base: URL

    /// Finds out what the student is to be.
    ///
    /// - Parameters:
    ///   - teacher: The teacher.
    ///   - folders: Where it lies, and what the student begins with.
    ///   - pruning: What the student has fewer of.
    ///   - images: The images that it learns from.
    /// - Throws: `WuerstchenError` with code `invalidRequest` for a pruning that makes no sense,
    ///   `incompatibleParameters` when the teacher's weights do not fit, and what reading files
    ///   throws.
    public init(
        of teacher: StageA, in folders: DistillationFolders, pruning: StagePruning,
        images: any ImageSource
    ) throws {
        base = folders.base
        let beginning = StudentFolder(folders.beginning ?? folders.teacher)
        let begun = try beginning.configuration(StageA.Configuration.self)
        let configuration = try begun.pruned(pruning)
        objective = DecoderObjective(
            configuration: configuration, teacher: teacher, images: images)
        let weights = try beginning.parameters(over: folders.base).values()
        start = try WarmStart(
            configuration.parameters(pruning: weights, of: begun), scope: "stage_a",
            in: objective.initialParameters(seed: 0), from: beginning.url.path)
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
    /// - Throws: What training and writing throw.
    @discardableResult
    public func run(
        _ options: TrainingOptions, in folder: URL, resumes: Bool = false,
        elementType: WeightElementType = .float16, progress: inout TrainingProgress
    ) throws -> StudentFolder {
        let learnt = try objective.train(
            from: start, scope: "stage_a", options, in: folder, resumes: resumes,
            progress: &progress)
        let target = StudentFolder(folder.appendingPathComponent("student"))
        try ProcessGroup.inFirst {
            try target.write(
                learnt, objective.configuration, base: base, elementType: elementType)
        }
        return target
    }
}
