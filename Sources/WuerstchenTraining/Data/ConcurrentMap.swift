import Dispatch
import Synchronization
import TensorCore

/// The results of a function for each index below `count`, computed on as many threads as one
/// operation may use.
func concurrentMap<Result: Sendable>(
    _ count: Int, _ body: @Sendable (Int) -> Result
) -> [Result] {
    let work = IndexedWork<Result>(count)
    DispatchQueue.concurrentPerform(iterations: min(count, Threads.count)) { _ in
        while let index = work.next() { work.keep(body(index), at: index) }
    }
    return work.results
}

/// The same for a function that reads files, which may be on a disk that is slow or does not
/// answer.
///
/// The calling thread only waits, so that its task can be cancelled in the meantime; whatever still
/// reads then is left to itself.
///
/// - Throws: `CancellationError` when the task is cancelled.
func cancellableMap<Result: Sendable>(
    _ count: Int, _ body: @escaping @Sendable (Int) -> Result
) throws -> [Result] {
    let work = IndexedWork<Result>(count)
    let group = DispatchGroup()
    for _ in 0..<min(count, Threads.count) {
        DispatchQueue.global().async(group: group) {
            while let index = work.next() { work.keep(body(index), at: index) }
        }
    }
    while group.wait(timeout: .now() + .milliseconds(20)) == .timedOut {
        guard Task.isCancelled else { continue }
        work.stop()
        throw CancellationError()
    }
    return work.results
}

/// Indices that are given out one by one, and what became of them.
private final class IndexedWork<Result: Sendable>: Sendable {
    private let count: Int
    private let started = Atomic<Int>(0)
    private let kept: Mutex<[Result?]>

    init(_ count: Int) {
        self.count = count
        kept = Mutex(Array(repeating: nil, count: count))
    }

    func next() -> Int? {
        let index = started.wrappingAdd(1, ordering: .relaxed).oldValue
        return index < count ? index : nil
    }

    func keep(_ result: Result, at index: Int) {
        kept.withLock { $0[index] = result }
    }

    /// Gives out no more indices.
    func stop() { started.store(count, ordering: .relaxed) }

    var results: [Result] { kept.withLock { $0.compactMap(\.self) } }
}
