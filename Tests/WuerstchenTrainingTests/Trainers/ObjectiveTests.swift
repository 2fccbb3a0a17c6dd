import TensorCore
import Testing
import Wuerstchen
import WuerstchenScenes
import _WuerstchenTestSupport

@testable import WuerstchenTraining

/// Every part learns: a few steps on small networks make its loss fall, and what must move moves.
@Suite("Objectives") struct ObjectiveTests {
    @Test("Stage A reconstructs, and fills its codebook")
    func stageA() throws {
        var objective = tinyStageA(images: SingleImage())
        objective.unquantizedShare = 0.3
        let (losses, metrics, state) = try train(objective, steps: 30, rate: 1e-2)
        expectFall(losses)
        #expect((metrics["codes"] ?? 0) >= 8)
        let mean = try #require(
            state.parameters.values["stage_a.down_blocks.3.1.running_mean"])
        #expect(mean.elements.contains { $0 != 0 }, "running statistics follow the batches")
    }

    @Test("Stage A and a discriminator learn from each other, each its own part")
    func discriminator() throws {
        var objective = tinyStageA(images: SingleImage())
        objective.auxiliary = [AdversarialLoss.patches(weight: 0.1, start: 0)]
        objective.unquantizedShare = 0
        let values = try objective.initialParameters(seed: 1).values
        // What deceives the discriminator changes Stage A's gradients, and none of its own.
        func gradients(weight: Float) throws -> [String: Tensor] {
            var objective = objective
            objective.auxiliary = [AdversarialLoss.patches(weight: weight, start: 0)]
            return try firstGradients(of: objective, values, batchSize: 2)
        }
        let (weak, strong) = (try gradients(weight: 0.1), try gradients(weight: 10))
        for (name, gradient) in weak {
            let other = try #require(strong[name])
            if name.hasPrefix("adversary.") {
                #expect(gradient.elements == other.elements, "\(name)")
                #expect(gradient.elements.contains { $0 != 0 }, "\(name)")
            }
        }
        let last = "stage_a.out_block.0.weight"
        #expect(try #require(weak[last]).elements != #require(strong[last]).elements)
        objective.auxiliary = [AdversarialLoss.patches(weight: 0.1, start: 0.3)]
        let (losses, metrics, _) = try train(objective, steps: 30, rate: 1e-2)
        expectFall(losses)
        #expect((metrics["adversary"] ?? 1) < 0.25, "better than chance")
    }

    @Test("compressor and preview decoder reconstruct")
    func compressor() throws {
        let objective = CompressorObjective(images: SingleImage(side: 64))
        let (losses, _, state) = try train(objective, steps: 12, batch: 2)
        expectFall(losses)
        let variance = try #require(
            state.parameters.values["compressor.mapper.2.running_var"])
        #expect(variance.elements.contains { $0 != 1 })
    }

    @Test("Stage B learns under a compressor that stays, and under one that learns along")
    func stageB() throws {
        let compressor = try SemanticCompressor(
            architecture: .residual, parameters: RandomParameters(seed: 4))
        for fixed in [compressor, nil] {
            var objective = try tinyStageB(images: SingleImage(side: 128), compressor: fixed)
            objective.semanticDropout = 0
            let before = try objective.initialParameters(seed: 0)
            let (losses, _, state) = try train(objective, steps: 24)
            expectFall(losses)
            func moved(_ name: String) -> Bool {
                before.values[name]?.elements != state.parameters.values[name]?.elements
            }
            #expect(moved("stage_b.effnet_mappers.1.weight"))
            #expect(!moved("text.text_model.final_layer_norm.weight"))
            #expect(moved("compressor.backbone.0.weight") == (fixed == nil))
        }
    }

    @Test("Stage B and a discriminator of pixels learn from each other, each its own part")
    func stageBDiscriminator() throws {
        let compressor = try SemanticCompressor(
            architecture: .residual, parameters: RandomParameters(seed: 4))
        var objective = try tinyStageB(images: SingleImage(side: 128), compressor: compressor)
        (objective.semanticDropout, objective.shownShare) = (0, 0.5)
        func losses(_ weight: Float) -> [AdversarialLoss<ImitatedImages>] {
            [.patches(weight: weight, start: 0, depth: 4)]
        }
        objective.auxiliary = losses(0)
        let values = try objective.initialParameters(seed: 1).values
        func gradients(weight: Float) throws -> [String: Tensor] {
            var objective = objective
            objective.auxiliary = losses(weight)
            return try firstGradients(of: objective, values, batchSize: 4)
        }
        let (weak, strong) = (try gradients(weight: 0.1), try gradients(weight: 10))
        #expect(!weak.keys.contains { $0.hasPrefix("stage_a.") })
        for (name, gradient) in weak where name.hasPrefix("adversary.") {
            #expect(gradient.elements == strong[name]?.elements, "\(name)")
            #expect(gradient.elements.contains { $0 != 0 }, "\(name)")
        }
        let last = "stage_b.clf.1.weight"
        #expect(try #require(weak[last]).elements != #require(strong[last]).elements)
        // Where all noise is too strong, nothing is judged.
        objective.shownTime = 0
        objective.auxiliary = losses(1)
        let (_, metrics, state) = try train(objective, steps: 1)
        #expect(metrics["adversary"] == nil)
        #expect(state.parameters.values.keys.contains { $0.hasPrefix("adversary.") })
    }

    @Test("the published compressor learns too: alone, and along with Stage B")
    func efficientNet() throws {
        func expectLearning(_ state: TrainingState) {
            for name in [
                "backbone.0.0.weight", "backbone.4.0.block.2.fc1.weight", "mapper.0.weight",
            ] {
                let mean = state.optimizer.memories["compressor.\(name)"]?.tensors["first"]
                #expect(mean?.elements.contains { $0 != 0 } == true, "\(name) has no gradient")
            }
            let mean = state.parameters.values["compressor.backbone.7.1.running_mean"]
            #expect(
                mean?.elements.contains { $0 != 0 } == true,
                "running statistics follow the batches")
            #expect(state.parameters.values.values.allSatisfy { $0.isFinite })
        }
        var alone = CompressorObjective(images: SingleImage(side: 64))
        alone.architecture = .efficientNet
        expectLearning(try train(alone, steps: 1).state)
        var along = try tinyStageB(images: SingleImage(side: 128))
        along.compressorArchitecture = .efficientNet
        along.semanticDropout = 0
        // The last layer begins as zeros, which let no gradient through.
        expectLearning(try train(along, steps: 2).state)
    }

    @Test("Stage C's errors under right, empty and wrong captions")
    func captionErrors() throws {
        let folder = try TemporaryFolder()
        try SceneTokenizer.write(to: folder.url)
        var text = CLIPTextModel.Configuration(
            channels: 8, hiddenChannels: 16, layers: 1, heads: 2)
        (text.positions, text.vocabularySize) = (32, 810)
        let compressor = try SemanticCompressor(
            architecture: .residual, parameters: RandomParameters(seed: 4))
        var c = TinyStageC.configuration
        c.latentChannels = 16
        let objective = StageCObjective(
            NoisePrediction(StageBlueprint(configuration: c)),
            captions: CaptionEncoding(
                text, tokenizer: try CLIPTokenizer(contentsOf: folder.url), trainsEncoder: true),
            semantics: CompressedImages(SingleImage(side: 128), compressor: compressor))
        let (_, metrics, state) = try train(objective, steps: 4, batch: 4)
        #expect(metrics["read"] == nil)
        let errors = try objective.captionErrors(
            state.average.values, batch: 0, count: 4, precision: .float32)
        #expect(errors.count == 4)
        #expect(errors.allSatisfy { $0.right > 0 && $0.right.isFinite && $0.empty.isFinite })
        #expect(errors.contains { $0.right != $0.wrong && $0.right != $0.empty })
    }
}

/// The same few drawn scenes in every batch.
private struct SingleImage: ImageSource {
    var side = 32

    func batch(_ number: Int, count: Int) -> ImageBatch {
        var batch = SceneImages(seed: 9).batch(0, count: count)
        batch.pixels = batch.pixels.resized(
            rows: .antialiasedBilinear(from: 256, to: side),
            columns: .antialiasedBilinear(from: 256, to: side))
        return batch
    }
}
