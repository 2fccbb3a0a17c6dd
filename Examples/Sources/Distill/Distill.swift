import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen
import WuerstchenTraining

@main struct Distill: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "distill",
        abstract: "Make few-step students of the diffusion stages.",
        discussion: """
            First a teacher makes couplings, pairs of noise and what it turns it to. Reflow makes a \
            student of them whose flow is straighter: a few steps do. One-step makes one that takes a \
            single step, best from the couplings of a reflowed student and from its weights.
            """,
        subcommands: [
            MakeCouplings.self, Reflow.self, OneStep.self, MeasureFlow.self,
        ])
}

/// The stages that can be distilled.
enum DistilledStage: String, ExpressibleByArgument, CaseIterable {
    case stageC = "stage-c"
    case stageB = "stage-b"
}

/// The cascade whose stage is distilled.
struct TeacherArguments: ParsableArguments {
    @Option(help: "The stage: stage-c or stage-b.")
    var stage: DistilledStage

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

    /// The folder of a stage's configuration and weights; of the one that is distilled, if none is
    /// named.
    func stageFolder(of stage: DistilledStage? = nil) throws -> URL {
        let replacement = stage ?? self.stage == .stageC ? checkpoint.stageC : checkpoint.stageB
        return try replacement.map { URL(fileURLWithPath: $0) } ?? baseFolder(of: stage)
    }

    /// The folder of the checkpoint's own stage.
    func baseFolder(of stage: DistilledStage? = nil) throws -> URL {
        try checkpoint.folder().appendingPathComponent(
            stage ?? self.stage == .stageC ? "wuerstchen-prior/prior" : "wuerstchen/decoder")
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
