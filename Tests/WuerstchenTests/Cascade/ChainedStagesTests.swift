import TensorCore
import Testing
import Wuerstchen

/// Stages called one after the other by hand do what the cascade does.
@Suite("Chained stages") struct ChainedStagesTests {
    private static let size = ImageSize(width: 128, height: 160)
    private static let seed: UInt64 = 12

    @Test("encode, sample, sample, decode equals the cascade where the noise is the same")
    func chain() throws {
        let cascade = try TinyCascade.load()
        let decoder = try #require(cascade.decoder as? DiffusionDecoder)
        let request = try TinyCascade.request(
            "a house", negativePrompt: "a tree", size: Self.size, seed: Self.seed,
            stageBGuidance: 2)
        let text = try cascade.textEncoder().encode("a house", negative: "a tree")
        let grid = try cascade.grid(for: Self.size)
        let stageC = try cascade.stageC()
        var first = try stageC.sampler(
            text, grid: grid, noise: SeededNoise(seeds: [Self.seed]), options: request.stageC)
        while try first.next() != nil {}
        // Stage B's random numbers come after Stage C's, from the same generator.
        var sampler = try decoder.stageB().sampler(
            stageC.latent(first),
            text: decoder.textEncoder().encode("a house", negative: "a tree"),
            noise: first.noise, options: request.stageB)
        while try sampler.next() != nil {}
        let images = try decoder.stageA().decode(ImageLatent(values: sampler.latent))
        let cut = try images.map { try $0.cropped(to: Self.size) }
        #expect(try cut == cascade.makeImages(for: request))
    }

    @Test("the short form equals the samplers")
    func shortForm() throws {
        let cascade = try TinyCascade.load()
        let decoder = try #require(cascade.decoder as? DiffusionDecoder)
        let options = SamplingOptions(timesteps: try Timesteps(count: 2), guidance: 2)
        let text = try cascade.textEncoder().encode("a house")
        let stageC = try cascade.stageC()
        let semantic = try stageC.sample(
            text, imageSize: Self.size, seed: Self.seed, options: options)
        // Twelve and fifteen positions cover the image, and both are multiples of three.
        #expect(semantic.grid == SemanticGrid(rows: 15, columns: 12))
        var first = try stageC.sampler(
            text, grid: semantic.grid, noise: SeededNoise(seeds: [Self.seed]), options: options)
        while try first.next() != nil {}
        #expect(first.latent.elements == semantic.values.elements)
        #expect(semantic.space == cascade.latentSpace)

        let decoderText = try decoder.textEncoder().encode("a house")
        let latent = try decoder.stageB().sample(
            semantic, text: decoderText, seed: 3, options: options)
        var sampler = try decoder.stageB().sampler(
            semantic, text: decoderText, noise: SeededNoise(seeds: [3]), options: options)
        while try sampler.next() != nil {}
        #expect(sampler.latent.elements == latent.values.elements)
        let images = try decoder.stageA().decode(latent)
        #expect(images.map(\.size) == [Self.size])
        let request = try TinyCascade.request(
            "a house", seed: 3, stageBSteps: 2, stageBGuidance: 2)
        #expect(try decoder.decode(semantic, for: request) == images)
    }
}
