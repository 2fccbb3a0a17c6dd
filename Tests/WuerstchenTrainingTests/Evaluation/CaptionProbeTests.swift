import TensorCore
import Testing
import WuerstchenTraining

@Suite("Which caption belongs to an image") struct CaptionProbeTests {
    /// Features that say which of three colours and two sizes a caption has, and one that says
    /// nothing.
    private func example(_ count: Int, seed: UInt64) -> (features: Tensor, captions: [String]) {
        var random = RandomStream(seed: seed, name: "features")
        let (colors, sizes) = (["Red", "Green", "Blue"], ["small", "large"])
        var (features, captions): ([Float], [String]) = ([], [])
        for index in 0..<count {
            let (color, size) = (index % 3, index / 3 % 2)
            let noise = random.normal([4]).elements.map { 0.05 * $0 }
            features.append((color == 0 ? 1 : 0) + noise[0])
            features.append((color == 1 ? 1 : 0) + noise[1])
            features.append((size == 0 ? 3 : -3) + noise[2])
            features.append(noise[3])
            captions.append("a \(sizes[size]), \(colors[color]) thing")
        }
        return (Tensor(features, [count, 4]), captions)
    }

    @Test("what features tell is found, and what they do not is not")
    func ranks() throws {
        let (features, captions) = example(60, seed: 1)
        let probe = try #require(CaptionProbe(features: features, captions: captions))
        let (others, theirs) = example(30, seed: 2)
        #expect(probe.ranks(features: others, captions: theirs).allSatisfy { $0 == 0 })
        // Each image with the caption of the next, which has another colour.
        let wrong = theirs.indices.map { theirs[($0 + 1) % theirs.count] }
        #expect(probe.ranks(features: others, captions: wrong).allSatisfy { $0 > 0 })
    }

    @Test("too few captions, or captions that are all alike, teach nothing")
    func nothing() {
        let (features, captions) = example(60, seed: 1)
        #expect(CaptionProbe(features: features[0..<19], captions: Array(captions[..<19])) == nil)
        #expect(CaptionProbe(features: features, captions: captions.map { _ in "a thing" }) == nil)
        #expect(CaptionProbe(features: features, captions: captions.map { _ in "" }) == nil)
    }
}
