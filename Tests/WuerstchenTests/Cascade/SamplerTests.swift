import TensorCore
import Testing
import Wuerstchen

@Suite("Sampler") struct SamplerTests {
    private static func sampler(
        steps: Int = 4, method: SamplingMethod = .ddpm
    ) throws -> any Sampler {
        let cascade = try TinyCascade.load()
        return try cascade.stageC().sampler(
            cascade.textEncoder().encode("a house"), grid: SemanticGrid(rows: 4, columns: 3),
            noise: SeededNoise(seeds: [5]),
            options: SamplingOptions(
                timesteps: Timesteps(count: steps), guidance: 2, method: method))
    }

    private static func finish(_ sampler: inout any Sampler) throws -> [Float] {
        while try sampler.next() != nil {}
        return sampler.latent.elements
    }

    @Test("copies go on from where the original is, independently of it")
    func copies() throws {
        var original = try Self.sampler()
        _ = try original.next()
        var copy = original
        let atCopy = copy.latent.elements
        let end = try Self.finish(&original)
        #expect(copy.latent.elements == atCopy)
        #expect(try copy.next()?.index == 1)
        #expect(try Self.finish(&copy) == end)
        #expect(end != atCopy)
    }

    @Test("a sampler whose steps are done stays as it is")
    func end() throws {
        var sampler = try Self.sampler()
        let end = try Self.finish(&sampler)
        #expect(try sampler.next() == nil)
        #expect(sampler.latent.elements == end)
    }

    @Test("given latents are the start, and no noise is drawn for them")
    func initial() throws {
        let cascade = try TinyCascade.load()
        let text = try cascade.textEncoder().encode("a house")
        let grid = SemanticGrid(rows: 4, columns: 3)
        var noise: any NoiseSource = SeededNoise(seeds: [5])
        let start = noise.next(batch: 1, height: 4, width: 3, channels: 10)
        let options = SamplingOptions(timesteps: try Timesteps(count: 4), guidance: 2)
        var given = try cascade.stageC().sampler(
            text, grid: grid, initial: start, noise: noise, options: options)
        var drawn = try Self.sampler()
        #expect(given.latent.elements == drawn.latent.elements)
        #expect(try Self.finish(&given) == Self.finish(&drawn))
    }

    @Test("the deterministic method draws noise for the start alone")
    func deterministic() throws {
        var sampler = try Self.sampler(method: .ddim)
        var before = sampler.noise
        _ = try Self.finish(&sampler)
        var after = sampler.noise
        let shape = (batch: 1, height: 2, width: 2, channels: 3)
        let first = before.next(
            batch: shape.batch, height: shape.height, width: shape.width, channels: shape.channels)
        let second = after.next(
            batch: shape.batch, height: shape.height, width: shape.width, channels: shape.channels)
        #expect(first.elements == second.elements)
    }

    @Test("a prompt each, or one for all, or equal runs of neighbours")
    func prompts() throws {
        let cascade = try TinyCascade.load()
        let encoder = try cascade.textEncoder()
        let options = SamplingOptions(timesteps: try Timesteps(count: 2), guidance: 2)
        func latents(_ prompts: [String], each: Int, seeds: [UInt64]) throws -> [[Float]] {
            var sampler = try cascade.stageC().sampler(
                encoder.encode(prompts, negatives: prompts.map { _ in "" }),
                grid: SemanticGrid(rows: 3, columns: 3), imagesPerPrompt: each,
                noise: SeededNoise(seeds: seeds), options: options)
            while try sampler.next() != nil {}
            return seeds.indices.map { sampler.latent[$0..<$0 + 1].elements }
        }
        let together = try latents(["a house", "a tree"], each: 2, seeds: [1, 2, 3, 4])
        #expect(try together[0...1] == latents(["a house"], each: 2, seeds: [1, 2])[...])
        #expect(try together[3] == latents(["a tree"], each: 1, seeds: [4])[0])
    }

    @Test("shares of the signal fall with time and stay in range")
    func schedule() {
        for scaler in [0.5, 1, 1.45] {
            let schedule = NoiseSchedule(scaler: scaler)
            let shares = (0...100).map { schedule.alphaBar(at: Float($0) / 100) }
            #expect(zip(shares, shares.dropFirst()).allSatisfy { $0 >= $1 })
            #expect(shares.allSatisfy { (0.0001...0.9999).contains($0) })
        }
    }
}
