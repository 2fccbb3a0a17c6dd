import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenNN
import WuerstchenScenes
import WuerstchenTraining
import _WuerstchenTestSupport

@Suite("Assembling a checkpoint of runs") struct CheckpointAssemblyTests {
    private let folder: TemporaryFolder
    private let architecture = CascadeTrainingTests.architecture

    /// Two of each part; of Stages B and C one for each of the first's.
    init() throws {
        folder = try TemporaryFolder()
        try SceneTokenizer.write(to: url("tokenizer"))
        for (seed, name) in [(UInt64(1), "a"), (2, "other-a")] { try stageA(name, seed) }
        try stageB("b", on: "a", compressor: 5)
        try stageB("other-b", on: "a", compressor: 6)
        try stageC("c", on: "b")
    }

    private func url(_ name: String) -> URL { folder.url.appendingPathComponent(name) }

    private func export(_ run: String) -> CheckpointExport {
        CheckpointExport(to: url("\(run)/checkpoint"))
    }

    private func captions() throws -> CaptionEncoding {
        let tokenizer = try CLIPTokenizer(contentsOf: url("tokenizer"))
        var text = architecture.text
        (text.positions, text.vocabularySize) = (tokenizer.length, tokenizer.vocabularySize)
        return CaptionEncoding(text, tokenizer: tokenizer, trainsEncoder: false)
    }

    /// Trains for a step and gives the parameters.
    private func trained(
        _ objective: some TrainingObjective, in run: String, seed: UInt64 = 0
    ) throws -> TrainableParameters {
        var options = TrainingOptions(steps: 1, batchSize: 2, peakRate: 1e-3)
        (options.seed, options.precision) = (seed, .float32)
        var progress = TrainingProgress(isTerminal: false) { _ in }
        return TrainableParameters(
            try TrainingRun(objective, options, in: url(run)).run(
                resumes: false, progress: &progress))
    }

    private func stageA(_ run: String, _ seed: UInt64) throws {
        let objective = StageAObjective(
            configuration: architecture.stageA, images: NoiseImages(side: 32))
        try export(run).write(
            trained(objective, in: run, seed: seed).scope("stage_a"), architecture.stageA,
            to: \.stageA)
    }

    private func stageB(_ run: String, on stageA: String, compressor seed: UInt64) throws {
        let export = export(run)
        var compressor = TrainableParameters()
        try compressor.add(from: InitialParameters(seed: seed)) {
            _ = try SemanticCompressor(architecture: .residual, parameters: $0)
        }
        try export.write(compressor.values, toFile: "compressor.safetensors")
        let weights = url("\(stageA)/checkpoint/wuerstchen/vqgan")
        let captions = try captions()
        let blueprint = StageBlueprint<StageB>(
            configuration: architecture.stageB, latentSpace: CascadeArchitecture.latentSpace)
        let objective = StageBObjective(
            NoisePrediction(blueprint), captions: captions, images: NoiseImages(side: 128),
            stageA: try StageA(
                configuration: architecture.stageA,
                parameters: CheckpointParameters(
                    directory: weights, stem: "diffusion_pytorch_model")),
            compressor: try SemanticCompressor(
                parameters: ParameterValues(compressor.values),
                latentSpace: CascadeArchitecture.latentSpace))
        let parameters = try trained(objective, in: "\(run)/stage-b")
        try export.writeDecoderIndex(
            space: CascadeArchitecture.latentSpace, schedule: NoiseSchedule())
        try export.copyTokenizer(url("tokenizer"), to: \.decoder)
        try export.write(
            parameters.scope("text"), captions.configuration, to: \.decoderTextEncoder)
        try export.write(
            parameters.scope("stage_b"), architecture.stageB, to: \.stageB,
            textEncoders: [export.url(of: \.decoderTextEncoder)])
    }

    private func stageC(_ run: String, on stageB: String) throws {
        let export = export(run)
        let compressor = try SemanticCompressor(
            contentsOf: url("\(stageB)/checkpoint/compressor.safetensors"),
            latentSpace: CascadeArchitecture.latentSpace)
        let captions = try captions()
        let blueprint = StageBlueprint<StageC>(
            configuration: architecture.stageC, latentSpace: CascadeArchitecture.latentSpace)
        let parameters = try trained(
            StageCObjective(
                NoisePrediction(blueprint), captions: captions,
                semantics: CompressedImages(NoiseImages(side: 128), compressor: compressor)),
            in: run)
        try export.writePriorIndex(
            space: CascadeArchitecture.latentSpace, side: 128, schedule: NoiseSchedule())
        try export.copyTokenizer(url("tokenizer"), to: \.prior)
        try export.write(
            parameters.scope("text"), captions.configuration, to: \.priorTextEncoder)
        try export.write(
            parameters.scope("stage_c"), architecture.stageC, to: \.stageC,
            textEncoders: [export.url(of: \.priorTextEncoder)])
    }

    private func assemble(_ a: String, _ b: String, _ c: String, to target: String) throws {
        try CheckpointAssembly(stageA: url(a), stageB: url(b), stageC: url(c))
            .write(to: url(target))
    }

    @Test("takes those that were made from each other, and refuses others with both digests")
    func parts() throws {
        try assemble("a", "b", "c", to: "whole")
        let image = try Cascade(contentsOf: url("whole")).image(for: "a red house", seed: 1)
        #expect(image.size == ImageSize(width: 128, height: 128))
        expectError(.unwritableFile, "whole", "--force") {
            try assemble("a", "b", "c", to: "whole")
        }
        expectError(.incompatibleParameters, "other-a", "another Stage A") {
            try assemble("other-a", "b", "c", to: "first")
        }
        expectError(.incompatibleParameters, "other-b", "another compressor") {
            try assemble("a", "other-b", "c", to: "second")
        }
        for name in ["first", "second"] {
            #expect(!FileManager.default.fileExists(atPath: url(name).path))
        }
    }
}
