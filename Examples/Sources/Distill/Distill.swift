import ArgumentParser
import ExampleSupport
import Foundation
import TensorCore
import Wuerstchen
import WuerstchenTraining

@main struct Distill: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "distill",
        abstract: "Make few-step students of the diffusion stages.",
        discussion: """
            First a teacher makes couplings, pairs of noise and what it turns it to. Reflow makes a \
            student of them whose flow is straighter: a few steps do. One-step makes one that takes a \
            single step, best from the couplings of a reflowed student and from its weights. Decoder makes \
            Stage A smaller, which most of the time of a one-step image goes to.
            """,
        subcommands: [
            MakeCouplings.self, Reflow.self, OneStep.self, TrainDecoder.self,
            MeasureFlow.self,
        ])
}

/// The stages that can be distilled.
enum DistilledStage: String, ExpressibleByArgument, CaseIterable {
    case stageC = "stage-c"
    case stageB = "stage-b"

    /// Where the stage lies in a checkpoint.
    var network: CheckpointLayout.Network {
        let layout = CheckpointLayout.published
        return self == .stageC ? layout.stageC : layout.stageB
    }
}

/// How students are trained where nothing else is wanted.
enum StudentDefaults: TrainingDefaults {
    static let (steps, batch) = (4000, 32)
    static let (rate, decay, average): (Float, Float, Float) = (2e-4, 0, 0.999)
}

/// The cascade that is distilled, and how to compute.
struct RunArguments: ParsableArguments {
    @OptionGroup var checkpoint: CheckpointArguments
    @OptionGroup var compute: ComputeArguments

    func cascade() throws -> Cascade { try checkpoint.cascade(precision: compute.precision) }
}

/// The cascade whose stage is distilled.
struct TeacherArguments: ParsableArguments {
    @Option(help: "The stage: stage-c or stage-b.")
    var stage: DistilledStage

    @OptionGroup var run: RunArguments

    /// Where a stage lies: the one that is distilled, if no other is named.
    func folders(of other: DistilledStage? = nil) throws -> DistillationFolders {
        let (stage, stages) = (other ?? stage, run.checkpoint.stages)
        return DistillationFolders(
            base: try run.checkpoint.folder().appendingPathComponent(stage.network.path),
            teacher: stage == .stageC ? stages.stageC : stages.stageB)
    }

    /// The stage that is distilled.
    func teacher(in cascade: Cascade, size: ImageSize) throws -> CouplingTeacher {
        switch stage {
        case .stageC: try CouplingTeacher(stageCOf: cascade, size: size)
        case .stageB: try CouplingTeacher(stageBOf: cascade, size: size)
        }
    }
}
