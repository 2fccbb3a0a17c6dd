import TensorCore
import Testing

@Suite("Want of memory") struct OutOfMemoryTests {
    @Test("the process ends with words and a status rather than with a trap")
    func ends() async throws {
        let result = await #expect(
            processExitsWith: .exitCode(71), observing: [\.standardErrorContent]
        ) {
            // More than there are addresses.
            _ = BufferPool().take(1 << 47)
        }
        let words = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(words.contains("out of memory"), "\(words)")
        #expect(words.contains("ulimit -v"), "\(words)")
    }
}
