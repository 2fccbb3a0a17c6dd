import ArgumentParser
import ExampleSupport
import Foundation
import TensorCore
import Wuerstchen
import WuerstchenTraining

@main struct Distill: Command {
    static let configuration = CommandConfiguration(
        commandName: "distill",
        abstract: "Make few-step students of the diffusion stages.",
        discussion: """
            First a teacher makes couplings: pairs of noise and the latent that it becomes. Reflow \
            trains a student whose flow is straighter, so that a few steps do. One-step trains one that \
            takes a single step, best from the couplings and weights of a reflowed student. Lightning \
            and windows need no couplings: they train students of several steps on images. Decoder \
            makes Stage A smaller, where a one-step image spends most of its time.
            """,
        subcommands: [
            MakeCouplings.self, Reflow.self, OneStep.self, Lightning.self, Windows.self,
            TrainDecoder.self, MeasureFlow.self,
        ])
}

/// A stage that can be distilled, by its name.
struct DistilledStage: ExpressibleByArgument {
    static let all: [any CascadeStage.Type] = [StageC.self, StageB.self]
    static var allValueStrings: [String] { all.map { $0.identifier } }

    let type: any CascadeStage.Type

    init?(argument: String) {
        guard let type = DistilledStage.all.first(where: { $0.identifier == argument }) else {
            return nil
        }
        self.type = type
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

    /// The cascade, of which no network is loaded that is not asked for.
    func cascade() throws -> Cascade {
        try checkpoint.cascade(precision: compute.precision, memory: .sequential)
    }
}

/// The cascade whose stage is distilled.
struct TeacherArguments: ParsableArguments {
    @Option(help: "The stage: stage-c or stage-b.")
    var stage: DistilledStage

    @OptionGroup var run: RunArguments

    /// Where a stage lies.
    func folders<Stage: CascadeStage>(
        of type: Stage.Type, beginning: String? = nil
    ) throws -> DistillationFolders {
        DistillationFolders(
            type, in: try run.checkpoint.folder(), replacing: run.checkpoint.stages,
            beginning: beginning.map { URL(fileURLWithPath: $0) })
    }
}
