public import Foundation
internal import TensorCore
internal import Wuerstchen

/// How the small cascade is trained from nothing, piece by piece, each in a folder of its own.
///
/// A piece that was stopped goes on where it was; one that is done is done. Later pieces stand on
/// earlier ones: the order of ``Piece`` is one that works, and pieces that do not stand on each other
/// can be trained at the same time.
public struct MiniatureRecipe: Sendable {
    /// What is trained.
    public enum Piece: String, Sendable, CaseIterable {
        /// The VQGAN.
        case stageA = "stage-a"
        /// The semantic compressor, with the preview decoder.
        case compressor
        /// The text encoder, on captions alone.
        case text
        /// The probe that reads pictures back.
        case probe
        /// Stage B with its text encoder, on Stage A and the compressor.
        case stageB = "stage-b"
        /// Stage C with its text encoder, on the compressor.
        case stageC = "stage-c"
    }

    /// The folder of the whole training.
    public let folder: URL
    /// The length of the training: 1 for the shipped cascade's, less to try the recipe out.
    public var length: Double
    /// What everything random depends on.
    public var seed: UInt64 = 1

    /// A training in a folder.
    public init(in folder: URL, length: Double = 1) {
        self.folder = folder
        self.length = length
    }

    /// The settings of a piece.
    public func options(_ piece: Piece) -> TrainingOptions {
        func steps(_ count: Int) -> Int { max(20, Int(length * Double(count))) }
        var options: TrainingOptions
        switch piece {
        case .stageA:
            options = TrainingOptions(
                steps: steps(4000), batchSize: 16, peakRate: 2e-3, weightDecay: 1e-4)
        case .compressor:
            options = TrainingOptions(
                steps: steps(6000), batchSize: 12, peakRate: 2e-3, weightDecay: 1e-4)
        case .text:
            options = TrainingOptions(steps: steps(700), batchSize: 128, peakRate: 1e-3)
        case .probe:
            options = TrainingOptions(steps: steps(3000), batchSize: 32, peakRate: 1e-3)
        case .stageB:
            options = TrainingOptions(
                steps: steps(12000), batchSize: 8, peakRate: 1e-3, weightDecay: 1e-3)
        case .stageC:
            options = TrainingOptions(
                steps: steps(20000), batchSize: 48, peakRate: 1e-3, averageDecay: 0.999)
        }
        options.seed = seed
        return options
    }

    private func pictures(_ split: Scene.Split, cutout: Int? = nil) -> ScenePictures {
        ScenePictures(seed: split == .training ? seed : seed + 1000, split: split, cutout: cutout)
    }

    /// Trains a piece to its end, or goes on with it.
    ///
    /// - Parameters:
    ///   - piece: What to train.
    ///   - progress: Where to report.
    /// - Throws: `CancellationError` when the task is cancelled, ``WuerstchenError`` when a piece that
    ///   this one stands on is not trained, and what ``TrainingRun/run(resumes:start:progress:)``
    ///   throws.
    public func train(_ piece: Piece, progress: inout TrainingProgress) throws {
        let (options, folder) = (options(piece), folder(of: piece))
        switch piece {
        case .stageA:
            var objective = StageAObjective(
                configuration: MiniatureArchitecture.stageA,
                pictures: pictures(.training, cutout: 128))
            objective.validationPictures = pictures(.heldOut)
            _ = try TrainingRun(objective, options, in: folder)
                .run(resumes: true, progress: &progress)
        case .compressor:
            var objective = CompressorObjective(pictures: pictures(.training))
            objective.validationPictures = pictures(.heldOut)
            _ = try TrainingRun(objective, options, in: folder)
                .run(resumes: true, progress: &progress)
        default: break
        }
    }

    /// The folder of a piece.
    public func folder(of piece: Piece) -> URL {
        folder.appendingPathComponent(piece.rawValue)
    }
}
