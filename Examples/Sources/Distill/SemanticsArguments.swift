import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen
import WuerstchenTraining

/// Where the semantic latents are from that Stage B's couplings are made for.
struct SemanticsArguments: ParsableArguments {
    @Option(
        help: """
            The compressor for Stage B. (default: compressor.safetensors in the checkpoint's folder)
            """)
    var compressor: String?

    @Option(
        help: """
            Steps of Stage C, whose latents Stage B's couplings are made for. (default: what it was made \
            for)
            """)
    var stageCSteps: Int?

    func record(_ teacher: TeacherArguments) throws -> CouplingRecord.Semantics {
        CouplingRecord.Semantics(
            compressor: try weightsFingerprint(ofFile: compressorFile(teacher)),
            stageC: try weightsFingerprint(of: teacher.folders(of: StageC.self).teacher),
            steps: stageCSteps)
    }

    func conditions(
        _ images: any ImageSource, _ cascade: Cascade, _ size: ImageSize,
        _ teacher: TeacherArguments
    ) throws -> SemanticConditions {
        var conditions = try SemanticConditions(
            images,
            compressor: SemanticCompressor(
                contentsOf: compressorFile(teacher), latentSpace: cascade.latentSpace),
            of: cascade, size: size)
        conditions.seed = teacher.run.compute.seed
        conditions.sampling = try cascade.stageCSampling(steps: stageCSteps)
        return conditions
    }

    private func compressorFile(_ teacher: TeacherArguments) throws -> URL {
        try compressor.map { URL(fileURLWithPath: $0) }
            ?? teacher.run.checkpoint.folder().appendingPathComponent(
                CheckpointLayout.published.compressor)
    }
}
