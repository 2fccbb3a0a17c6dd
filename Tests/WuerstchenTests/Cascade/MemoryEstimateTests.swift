import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// That estimates are near what processes take is tested with the commands, which are processes.
@Suite("Memory known beforehand") struct MemoryEstimateTests {
    private static func work(
        side: Int = 128, count: Int = 1, precision: Precision = .float32,
        memory: MemoryPolicy = .sequential
    ) throws -> Int {
        try MemoryEstimate(
            for: TinyCascade.request(size: ImageSize(width: side, height: side), count: count),
            contentsOf: TinyCascade.directory, precision: precision, memory: memory
        ).work
    }

    @Test("more of anything takes more memory")
    func order() throws {
        let usual = try Self.work()
        #expect(try Self.work(memory: .resident) > usual)
        #expect(try Self.work(side: 512) > 2 * usual)
        #expect(try Self.work(side: 512, count: 4) > Self.work(side: 512))
        // Batches of a megapixel follow each other.
        #expect(try Self.work(side: 1024, count: 64) < 2 * Self.work(side: 1024))
        #expect(try Self.work() == usual)
    }

    @Test("images are what they were before anything was estimated")
    func images() throws {
        let request = try TinyCascade.request()
        let cascade = try TinyCascade.load()
        let before = try cascade.makeImages(for: request)
        let estimate = try cascade.peakMemory(for: request)
        #expect(estimate.peak == estimate.work + estimate.process && estimate.work > 100_000)
        #expect(try cascade.makeImages(for: request) == before)
        // Networks that are in memory already are no part of the work.
        #expect(try estimate.work < Self.work(memory: .resident))
    }

    @Test("what could not be made is refused as it would be")
    func refusals() throws {
        expectError(.invalidRequest, "8") { _ = try Self.work(side: 8) }
        let copy = try TinyCascade.copy()
        try copy.remove("wuerstchen/vqgan/config.json")
        let request = try TinyCascade.request()
        expectError(.fileNotFound, "vqgan/config.json") {
            _ = try MemoryEstimate(for: request, contentsOf: copy.url)
        }
    }
}
