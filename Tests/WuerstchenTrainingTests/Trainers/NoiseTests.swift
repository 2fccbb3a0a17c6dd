import TensorCore
import Testing
import Wuerstchen
import WuerstchenTraining
import _WuerstchenTestSupport

@Suite("Noise") struct NoiseTests {
    @Test("the clean latents follow from the noise, at every level")
    func clean() {
        let latents = Tensor.random([4, 2, 3, 5], seed: 1)
        var random = RandomStream(2)
        let noisy = NoisyLatents(
            latents, times: [0.05, 0.5, 0.9, 1], schedule: NoiseSchedule(), random: &random)
        for (found, expected) in zip(noisy.clean(noisy.noise).elements, latents.elements) {
            #expect(abs(found - expected) < 1e-3)
        }
        let loss = noisy.loss(noisy.noise, .cleanError).elements[0]
        #expect(loss == 0)
    }

    @Test("times as published, or more of those where a text decides")
    func times() {
        func share(_ distribution: TimeDistribution) -> Float {
            var random = RandomStream(3)
            let times = distribution.draw(4000, &random)
            #expect(times.allSatisfy { (0.001...1).contains($0) })
            return Float(times.count { $0 >= 0.8 }) / 4000
        }
        // 0.28 / 1.08 of the published times are above 0.8.
        #expect(abs(share(TimeDistribution()) - 0.26) < 0.03)
        #expect(abs(share(TimeDistribution(highNoiseShare: 0.5)) - 0.63) < 0.03)
        #expect(share(TimeDistribution(highNoiseShare: 1)) == 1)
    }

    @Test("a batch has a bit of every noise level, and each of its samples has any")
    func spread() {
        var random = RandomStream(5)
        let batches = (0..<2000).map { _ in random.spread(8) }
        for batch in batches {
            #expect(batch.allSatisfy { (0..<1).contains($0) })
            #expect(Set(batch.map { Int(8 * $0) }).count == 8)
        }
        for sample in [0, 7] {
            let mean = batches.reduce(0) { $0 + $1[sample] } / 2000
            #expect(abs(mean - 0.5) < 0.03, "sample \(sample): \(mean)")
        }
        for share: Float in [0, 0.5] {
            let times = TimeDistribution(highNoiseShare: share).draw(16, &random)
            let high = times.count { $0 >= 0.8 }
            #expect(share == 0 ? (4...5).contains(high) : (9...11).contains(high), "\(times)")
        }
    }

    @Test("the clean latents' errors count alike at all levels but the highest")
    func weights() {
        for share: Float in [0.9, 0.5, 0.04, 0.003] {
            #expect(NoiseWeighting.clean(share) == NoiseWeighting.cleanError(share))
        }
        #expect(NoiseWeighting.clean(0.0001) < 0.06 * NoiseWeighting.cleanError(0.0001))
    }
}
