import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenNN
import WuerstchenTraining
import _WuerstchenTestSupport

@Suite("Latents of a folder, kept in files") struct CompressedFolderTests {
    private let pictures: TemporaryFolder
    private let cache: TemporaryFolder

    init() throws {
        (pictures, cache) = (try TemporaryFolder(), try TemporaryFolder())
        for index in 0..<5 {
            let size = index < 3 ? (128, 128) : (256, 64)
            try pictures.url.putImage("\(index).png", size: size, UInt8(40 * index))
            try pictures.url.put("\(index).txt", "picture \(index)")
        }
    }

    private var file: URL { cache.url.appendingPathComponent("latents.safetensors") }

    private func folder(seed: UInt64 = 1, multiple: Int = 64) throws -> ImageFolder {
        let options = ImageFolderOptions(
            sizes: .buckets(AspectBuckets(side: 128, multiple: multiple, maximumRatio: 4)),
            seed: seed)
        return try ImageFolder(pictures.url, options: options)
    }

    private func compressor(_ seed: UInt64 = 4) throws -> SemanticCompressor {
        try SemanticCompressor(
            architecture: .residual, parameters: RandomParameters(seed: seed))
    }

    /// The latents, and how many were made just now.
    private func semantics(
        _ compressor: SemanticCompressor? = nil, seed: UInt64 = 1
    ) throws -> (source: CompressedFolder, made: Int) {
        var made = 0
        let source = try CompressedFolder(
            folder(seed: seed), compressor: compressor ?? self.compressor(), file: file
        ) { made = $0 }
        return (source, made)
    }

    @Test("are those that are made at each step, with the same captions in the same order")
    func same() throws {
        let kept = try semantics().source
        let fresh = try CompressedImages(folder(), compressor: compressor())
        for number in 0..<6 {
            let (a, b) = (
                try kept.semantics(number, count: 2), try fresh.semantics(number, count: 2)
            )
            #expect(a.latents.shape == b.latents.shape)
            #expect(a.latents.elements == b.latents.elements)
            #expect(a.captions == b.captions)
        }
    }

    @Test("are made once, and anew for another compressor, image or caption")
    func fingerprints() throws {
        #expect(try semantics().made == 5)
        #expect(try semantics().made == 0)
        // The order is not the latents' concern.
        #expect(try semantics(seed: 2).made == 0)
        #expect(try semantics(compressor(5)).made == 5)
        #expect(try semantics().made == 5)
        try pictures.url.putImage("1.png", size: (128, 129), 3)
        #expect(try semantics().made == 5)
        try pictures.url.put("1.txt", "another")
        #expect(try semantics().made == 5)
        #expect(try semantics().made == 0)
    }

    @Test("come from the next image where one is damaged, with its caption")
    func damaged() throws {
        var data = try Data(contentsOf: pictures.url.appendingPathComponent("1.png"))
        data.replaceSubrange(60..<data.count - 8, with: Data(repeating: 0, count: data.count - 68))
        try pictures.url.put("1.png", data)
        _ = try semantics()
        let kept = try semantics()
        #expect(kept.made == 0)
        let captions = try (0..<6).flatMap { try kept.source.semantics($0, count: 1).captions }
        #expect(!captions.contains("picture 1"))
        #expect(Set(captions).count >= 3)
    }

    @Test("are not written over a file that is something else")
    func foreign() throws {
        try cache.url.put("latents.safetensors", "mine")
        expectError(.malformedFile, file.path, "delete it") { _ = try semantics() }
        #expect(try String(contentsOf: file, encoding: .utf8) == "mine")
    }

    @Test("teach Stage B the same as images do")
    func stageB() throws {
        let compressor = try compressor()
        let folder = try folder(multiple: 128)
        var fresh = try tinyStageB(images: folder, compressor: compressor)
        fresh.semanticNoise = 0
        var kept = fresh
        kept.images = try EncodedFolder(
            CompressedFolder(folder, compressor: compressor, file: file), stageA: fresh.stageA,
            file: cache.url.appendingPathComponent("stage-a.safetensors"))
        let (a, b) = (try train(fresh, steps: 2), try train(kept, steps: 2))
        #expect(a.losses == b.losses)
    }
}
