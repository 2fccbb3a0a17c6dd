import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenMiniature
import WuerstchenScenes
import WuerstchenTraining

/// The cascade that ships in the package does what its card says, in small.
@Suite("Miniature") struct MiniatureTests {
    private func size(of folder: URL) throws -> Int {
        var bytes = 0
        let files = FileManager.default.enumerator(
            at: folder, includingPropertiesForKeys: [.fileSizeKey])
        while let file = files?.nextObject() as? URL {
            bytes += try file.resourceValues(forKeys: [.fileSizeKey]).fileSize ?? 0
        }
        return bytes
    }

    @Test("its files are there, and small enough to ship")
    func files() throws {
        let folder = try Miniature.folder()
        let bytes = try size(of: folder)
        #expect(bytes > 20_000_000 && bytes < 26_000_000, "\(bytes)")
        for name in ["ModelCard.md", "compressor.safetensors", "preview.safetensors"] {
            #expect(
                FileManager.default.fileExists(atPath: folder.appendingPathComponent(name).path))
        }
    }

    @Test("it says what it has learnt, in words that it knows")
    func learntCaptions() throws {
        let folder = try Miniature.folder()
        let captions = try #require(try CheckpointCaptions(of: folder)).captions
        #expect(captions.count == 512 && Set(captions).count > 500)
        let tokenizer = try Cascade.miniature().textEncoder().tokenizer
        for caption in captions {
            #expect(tokenizer.unknownWords(in: caption).isEmpty, "\(caption)")
        }
    }

    @Test("a sentence becomes an image, the same for the same seed")
    func image() throws {
        let cascade = try Cascade.miniature()
        let sampling = try cascade.completed(GenerationRequest("a red house"))
        #expect(sampling.stageC?.method == .dpmpp2M && sampling.stageB?.method == .dpmpp2M)
        func draw() throws -> [Image] {
            try cascade.makeImages(
                for: GenerationRequest(
                    "a large red house on green hills on a clear day", seed: 3,
                    stageC: SamplingOptions(timesteps: Timesteps(count: 4), guidance: 4),
                    stageB: SamplingOptions(timesteps: Timesteps(count: 2), guidance: 0)))
        }
        let image = try draw()[0]
        #expect(image.size == ImageSize(width: 256, height: 256))
        #expect(image == (try draw()[0]))
    }

    @Test("Stage A gives an image back, and the probe reads it as it reads the original")
    func stageA() throws {
        let cascade = try Cascade.miniature()
        let evaluation = CascadeEvaluation(
            CascadeGates(cascade: cascade, compressor: try Miniature.compressor()),
            probe: try .shipped())
        let truth = try evaluation.truth(count: 16)
        let renders = try evaluation.run(.images, count: 16, against: truth)
        #expect(renders.mean > 0.95, "\(renders.shares)")
        let decoded = try evaluation.run(.stageA, count: 16, against: truth)
        #expect(decoded.mean > 0.95, "\(decoded.shares)")
        #expect((decoded.signalToNoise ?? 0) > 35)
        // A decoder blurs, and its patches are farther from true ones than true ones are.
        #expect(abs(renders.edges - 1) < 0.1 && decoded.edges < renders.edges)
        #expect(decoded.edges > 0.8)
        #expect(decoded.patchDistances[0] > renders.patchDistances[0])
    }

    @Test("images from captions show what they mention, left and right too")
    func captions() throws {
        let evaluation = CascadeEvaluation(
            CascadeGates(
                cascade: try .miniature(precision: .bfloat16),
                compressor: try Miniature.compressor()),
            probe: try .shipped())
        let truth = try evaluation.truth(count: 16)
        let previews = try evaluation.run(.textPreview, count: 32, against: truth)
        #expect(previews.mean > 0.9, "\(previews.shares)")
        for attribute in [SceneAttribute.position, .side] {
            #expect(try #require(previews.shares[attribute.rawValue]) > 0.8, "\(previews.shares)")
        }
    }

    @Test("its students do so in one step of Stage C and four of Stage B")
    func students() throws {
        let folders = try Miniature.students()
        let bytes = try [folders.stageC, folders.stageB]
            .reduce(0) { try $0 + size(of: #require($1)) }
        #expect(folders.stageA == nil && bytes > 1_000_000 && bytes < 5_000_000, "\(bytes)")
        let cascade = try Cascade.miniature(.fewSteps, precision: .bfloat16)
        let completed = try cascade.completed(GenerationRequest("a red house"))
        #expect(completed.stageC?.timesteps.count == 1 && completed.stageC?.guidance == 0)
        #expect(completed.stageB?.timesteps.count == 4)
        let evaluation = CascadeEvaluation(
            CascadeGates(cascade: cascade, compressor: try Miniature.compressor()),
            probe: try .shipped())
        let truth = try evaluation.truth(count: 16)
        let images = try evaluation.run(.text, count: 8, against: truth)
        #expect(images.mean > 0.9 && images.edges > 0.4, "\(images.shares), \(images.edges)")
    }
}
