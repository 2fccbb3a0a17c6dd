import Dispatch
import Testing

@testable import WuerstchenTraining

@Suite("Concurrent map") struct ConcurrentMapTests {
    @Test("results keep the order of their indices")
    func order() throws {
        let expected = (0..<100).map { 3 * $0 }
        #expect(concurrentMap(100) { 3 * $0 } == expected)
        #expect(try cancellableMap(100) { 3 * $0 } == expected)
        #expect(concurrentMap(0) { $0 }.isEmpty)
        #expect(try cancellableMap(0) { $0 }.isEmpty)
    }

    @Test("cancelling does not wait for a file that does not answer")
    func cancelling() async throws {
        let (reading, start) = AsyncStream.makeStream(of: Void.self)
        let answer = DispatchSemaphore(value: 0)
        let task = Task.detached {
            try cancellableMap(100) { index in
                start.yield()
                answer.wait()
                return index
            }
        }
        // Tests share few threads, so that none may be kept waiting here.
        for await _ in reading { break }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        for _ in 0..<100 { answer.signal() }
    }
}
