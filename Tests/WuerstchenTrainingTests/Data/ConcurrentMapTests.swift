import Dispatch
import Synchronization
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
        let answer = DispatchSemaphore(value: 0)
        let isKnown = DispatchSemaphore(value: 0)
        let started = Mutex<Task<[Int], any Error>?>(nil)
        // Cancelled from within: the map blocks a thread of few, so that the test might get none.
        let task = Task.detached {
            try cancellableMap(100) { index in
                isKnown.wait()
                isKnown.signal()
                started.withLock { $0?.cancel() }
                answer.wait()
                return index
            }
        }
        started.withLock { $0 = task }
        isKnown.signal()
        await #expect(throws: CancellationError.self) { try await task.value }
        for _ in 0..<100 { answer.signal() }
    }
}
