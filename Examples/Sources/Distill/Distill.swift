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
}

/// The cascade that is distilled, and how to compute.
struct RunArguments: ParsableArguments {
    @OptionGroup var checkpoint: CheckpointArguments

    @Option(help: "The numbers that networks multiply: float32 or bfloat16.")
    var precision = Precision.bfloat16

    @Option(help: "What everything random depends on.")
    var seed: UInt64 = 0

    @Option(help: "Threads. (default: one for each processor)")
    var threads: Int?

    func validate() throws {
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads must be 1 to 1024")
        }
    }

    func cascade() throws -> Cascade {
        if let threads { Threads.count = threads }
        return try checkpoint.cascade(precision: precision)
    }
}

/// The cascade whose stage is distilled.
struct TeacherArguments: ParsableArguments {
    @Option(help: "The stage: stage-c or stage-b.")
    var stage: DistilledStage

    @OptionGroup var run: RunArguments

    var checkpoint: CheckpointArguments { run.checkpoint }
    var precision: Precision { run.precision }
    var seed: UInt64 { run.seed }

    func cascade() throws -> Cascade { try run.cascade() }

    /// The folder of a stage's configuration and weights; of the one that is distilled, if none is
    /// named.
    func stageFolder(of stage: DistilledStage? = nil) throws -> URL {
        let stages = checkpoint.stages
        return try (stage ?? self.stage == .stageC ? stages.stageC : stages.stageB)
            ?? baseFolder(of: stage)
    }

    /// The parameters of the stage that is distilled.
    func parameters() throws -> [String: Tensor] {
        try StudentFolder(stageFolder()).parameters(over: baseFolder()).values()
    }

    /// The parameters of the checkpoint's own stage.
    func baseParameters() throws -> CheckpointParameters {
        try StudentFolder(baseFolder()).parameters(over: baseFolder())
    }

    /// The folder of the checkpoint's own stage.
    func baseFolder(of stage: DistilledStage? = nil) throws -> URL {
        let layout = CheckpointLayout.published
        let network = stage ?? self.stage == .stageC ? layout.stageC : layout.stageB
        return try checkpoint.folder().appendingPathComponent(network.path)
    }
}

extension Cascade {
    /// Stages B and A.
    func diffusionDecoder() throws -> DiffusionDecoder {
        guard let decoder = decoder as? DiffusionDecoder else {
            throw ValidationError("the cascade has no Stage B")
        }
        return decoder
    }
}
