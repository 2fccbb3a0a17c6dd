import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@Suite("Guidance") struct GuidanceTests {
    private static func latent(_ change: (inout SamplingOptions) -> Void) throws -> [Float] {
        let cascade = try TinyCascade.load()
        var options = SamplingOptions(timesteps: try Timesteps(count: 4), guidance: 3)
        change(&options)
        var sampler = try cascade.stageC().sampler(
            cascade.textEncoder().encode("a house"), grid: SemanticGrid(rows: 4, columns: 3),
            noise: SeededNoise(seeds: [5]), options: options)
        while try sampler.next() != nil {}
        return sampler.latent.elements
    }

    @Test("an interval that has no step is no guidance, one that has all is guidance")
    func intervals() throws {
        let guided = try Self.latent { _ in }
        let plain = try Self.latent { $0.guidance = 0 }
        #expect(try Self.latent { $0.guidanceInterval = 0.1...0.2 } == plain)
        // Steps begin at 1, 0.75, 0.5 and 0.25.
        #expect(try Self.latent { $0.guidanceInterval = 0.2...1 } == guided)
        let partly = try Self.latent { $0.guidanceInterval = 0.3...0.8 }
        #expect(partly != guided && partly != plain)
    }

    @Test("outside the interval the network sees the latents once")
    func passes() throws {
        let batches = Batches()
        let network: GuidedDenoiser.Network = { x, _ in
            batches.note(x.shape[0])
            return x
        }
        var guidance = try Guidance(weight: 2)
        guidance.interval = 0.3...0.6
        let x = Tensor(repeating: 1, [1, 2, 2, 1])
        let denoiser = GuidedDenoiser("test", guidance: guidance, unguided: network, network)
        for time in [0.9, 0.5, 0.1] as [Float] { _ = try denoiser(x, [time]) }
        #expect(batches.all == [1, 2, 1])
    }

    @Test("rescaling gives a guided prediction the deviation of the prompt's, by its share")
    func rescale() throws {
        let x = Tensor([-1, 1, -3, 3], [1, 2, 2, 1])
        func deviation(_ share: Float) throws -> Float {
            var guidance = try Guidance(weight: 4)
            guidance.rescale = share
            // Twice the latents with the prompt, the latents without: 5 times under guidance.
            let denoiser = GuidedDenoiser("test", guidance: guidance) { both, _ in
                Tensor.concatenating([both[0..<1].scaled(by: 2), both[1..<2]])
            }
            return try denoiser(x, [0.5]).meanSquare().elements[0].squareRoot()
        }
        let own = x.meanSquare().elements[0].squareRoot()
        for (share, factor) in [(0, 5), (1, 2), (0.5, 3.5)] as [(Float, Float)] {
            #expect(abs(try deviation(share) - factor * own) < 1e-4)
        }
    }

    @Test("another seed for Stage B changes details alone")
    func stageBSeed() throws {
        let cascade = try TinyCascade.load()
        func make(_ seed: UInt64?) throws -> [Image] {
            var request = try TinyCascade.request(count: 2)
            request.stageBSeed = seed
            return try cascade.makeImages(for: request)
        }
        let (first, second) = (try make(1), try make(2))
        #expect(first != second && first[0] != first[1])
        // The second image is that of the next seeds of both stages.
        var request = try TinyCascade.request(seed: 8)
        request.stageBSeed = 2
        #expect(try cascade.makeImages(for: request)[0] == first[1])
        #expect(try make(nil) != first)
    }

    @Test("what is no interval or share is refused")
    func refused() {
        expectError(.invalidRequest, "between 0, clean, and 1") {
            _ = try Self.latent { $0.guidanceInterval = 0.5...1.5 }
        }
        expectError(.invalidRequest, "share from 0 to 1") {
            _ = try Self.latent { $0.guidanceRescale = 2 }
        }
    }
}

/// Notes how large batches are.
private final class Batches: @unchecked Sendable {
    private(set) var all: [Int] = []

    func note(_ size: Int) { all.append(size) }
}
