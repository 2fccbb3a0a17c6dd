import TensorCore
import Testing
import Wuerstchen

/// The same request gives the same image to the last bit, whatever else happens around it.
@Suite("Determinism", .serialized) struct DeterminismTests {
    @Test(
        "image k of a batch is the image that its own seed gives", arguments: [0, 2] as [Float])
    func batch(stageBGuidance: Float) throws {
        let cascade = try TinyCascade.load()
        let batch = try cascade.makeImages(
            for: TinyCascade.request(seed: 40, count: 3, stageBGuidance: stageBGuidance))
        #expect(batch.count == 3)
        for (index, image) in batch.enumerated() {
            let alone = try cascade.makeImages(
                for: TinyCascade.request(
                    seed: 40 + UInt64(index), stageBGuidance: stageBGuidance))
            #expect(alone == [image], "image \(index)")
        }
        #expect(Set(batch).count == 3)
    }

    @Test("seeds count up past the largest")
    func seedOverflow() throws {
        let cascade = try TinyCascade.load()
        let batch = try cascade.makeImages(for: TinyCascade.request(seed: .max, count: 2))
        let zero = try cascade.makeImages(for: TinyCascade.request(seed: 0))
        #expect(batch.last == zero.first)
    }

    @Test("one, two and five threads give the same image")
    func threads() throws {
        let cascade = try TinyCascade.load()
        // Large enough that maps are cut into several pieces, and not square.
        let request = try TinyCascade.request(
            size: ImageSize(width: 288, height: 128), stageCSteps: 1, stageBSteps: 1)
        let before = Threads.count
        defer { Threads.count = before }
        let images = try [1, 2, 5].map { count in
            Threads.count = count
            return try cascade.makeImages(for: request)
        }
        #expect(images[1] == images[0])
        #expect(images[2] == images[0])
    }

    @Test("two generations at once give what they give one after the other")
    func concurrency() async throws {
        let cascade = try TinyCascade.load()
        let house = try TinyCascade.request("a red house", seed: 1, count: 2)
        let tree = try TinyCascade.request("two green trees", seed: 2)
        async let firstAtOnce = cascade.images(for: house)
        async let secondAtOnce = cascade.images(for: tree)
        let atOnce = try await (firstAtOnce, secondAtOnce)
        #expect(try atOnce.0 == cascade.makeImages(for: house))
        #expect(try atOnce.1 == cascade.makeImages(for: tree))
    }

    @Test("every way to ask gives the same image, every time")
    func entryPoints() async throws {
        let cascade = try TinyCascade.load()
        let request = try TinyCascade.request()
        let images = try cascade.makeImages(for: request)
        #expect(try cascade.makeImages(for: request) == images)
        #expect(try await cascade.images(for: request) == images)
        #expect(try Cascade(contentsOf: TinyCascade.directory).makeImages(for: request) == images)
    }

    @Test("another prompt, seed or method gives another image")
    func differences() throws {
        let cascade = try TinyCascade.load()
        var other = try TinyCascade.request()
        other.stageC?.method = .ddim
        let requests = try [
            TinyCascade.request(), TinyCascade.request("a blue dog"),
            TinyCascade.request(seed: 8), TinyCascade.request(stageCSteps: 3),
            TinyCascade.request(stageBSteps: 3), other,
        ]
        #expect(Set(try requests.flatMap { try cascade.makeImages(for: $0) }).count == 6)
    }
}
