private import Foundation
internal import Synchronization

#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#else
private import Darwin
#endif

/// The threads that operations share.
///
/// An operation cuts its work into pieces that depend on the shapes alone, never on the number of
/// threads, so results are the same to the last bit whatever that number is. The thread that asks
/// for the work takes part in it; several may ask at once.
public enum Threads {
    /// How many threads one operation uses, the asking one included. At first the number of
    /// processors that this process may run on.
    public static var count: Int {
        get { limit.load(ordering: .relaxed) }
        set { limit.store(max(1, newValue), ordering: .relaxed) }
    }

    private static let limit = Atomic<Int>(availableProcessors)

    /// The number of processors that this process may run on.
    public static let availableProcessors = max(1, ProcessInfo.processInfo.activeProcessorCount)
}

/// Calls `body` once for each index below `count`, on several threads, and returns when all calls
/// have. Called from inside another such body, it runs on the calling thread alone. Where memory is
/// only measured, nothing is called.
package func parallel(_ count: Int, _ body: (Int) -> Void) {
    if MemoryMeter.isMeasuring { return }
    if count <= 1 || Threads.count == 1 || ThreadPool.isInsidePiece {
        for index in 0..<max(0, count) { body(index) }
    } else {
        withoutActuallyEscaping(body) { ThreadPool.shared.run(count, $0) }
    }
}

/// One call of `parallel`: indices are handed out one by one.
private final class ParallelLoop: @unchecked Sendable {
    // `body` is set before the loop is published and cleared after the last helper has left it;
    // `helpers` is changed under the pool's lock.
    var body: ((Int) -> Void)?
    let count: Int
    let next = Atomic<Int>(0)
    let helperLimit: Int
    let helpers = Atomic<Int>(0)

    init(count: Int, helperLimit: Int, body: @escaping (Int) -> Void) {
        self.count = count
        self.helperLimit = helperLimit
        self.body = body
    }

    var hasWork: Bool { next.load(ordering: .relaxed) < count }

    func work() {
        while true {
            let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
            guard index < count else { return }
            body?(index)
        }
    }
}

/// The helper threads. `@unchecked Sendable`: `loops` and `threads` are guarded by `lock`.
private final class ThreadPool: @unchecked Sendable {
    static let shared = ThreadPool()

    private let lock = ThreadLock()
    private let workArrived = ThreadLock.Event()
    private let helperLeft = ThreadLock.Event()
    private var loops: [ParallelLoop] = []
    private var threads = 0
    /// Counts published loops, so that a helper can watch for the next without the lock.
    private let published = Atomic<Int>(0)

    /// On threads that work on a piece: there more threads would only contend.
    private static let insidePiece = ThreadMark()

    static var isInsidePiece: Bool { insidePiece.isSet }

    private func work(on loop: ParallelLoop) {
        ThreadPool.insidePiece.set(during: loop.work)
    }

    func run(_ count: Int, _ body: @escaping (Int) -> Void) {
        let helperLimit = min(Threads.count, count) - 1
        let loop = ParallelLoop(count: count, helperLimit: helperLimit, body: body)
        lock.lock()
        while threads < helperLimit, start() {}
        loops.append(loop)
        published.wrappingAdd(1, ordering: .releasing)
        workArrived.announce()
        lock.unlock()

        work(on: loop)

        // The last pieces of others end soon, most often sooner than a sleeping thread wakes up.
        for _ in 0..<1000 where loop.helpers.load(ordering: .acquiring) > 0 { sched_yield() }
        lock.lock()
        loops.removeAll { $0 === loop }
        while loop.helpers.load(ordering: .acquiring) > 0 { lock.wait(for: helperLeft) }
        loop.body = nil
        lock.unlock()
    }

    /// Starts one more helper; called with the lock held. False when the system refuses, and then
    /// the work is done by fewer.
    private func start() -> Bool {
        #if canImport(Darwin)
        var thread: pthread_t?
        #else
        var thread = pthread_t()
        #endif
        let started = unsafe pthread_create(
            &thread, nil,
            { _ in
                ThreadPool.shared.help()
                return nil
            }, nil)
        guard started == 0 else { return false }
        #if canImport(Darwin)
        if let thread { pthread_detach(thread) }
        #else
        pthread_detach(thread)
        #endif
        threads += 1
        return true
    }

    private func help() {
        lock.lock()
        while true {
            guard
                let loop = loops.first(where: {
                    $0.hasWork && $0.helpers.load(ordering: .relaxed) < $0.helperLimit
                })
            else {
                waitForWork()
                continue
            }
            loop.helpers.wrappingAdd(1, ordering: .acquiringAndReleasing)
            lock.unlock()
            work(on: loop)
            lock.lock()
            if loop.helpers.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0 {
                helperLeft.announce()
            }
        }
    }

    /// The next operation usually follows within microseconds, sooner than a sleeping thread wakes
    /// up: watch for it for a moment before going to sleep. Called and left with the lock held.
    private func waitForWork() {
        let seen = published.load(ordering: .acquiring)
        lock.unlock()
        for _ in 0..<100 where published.load(ordering: .acquiring) == seen {
            sched_yield()
        }
        lock.lock()
        if published.load(ordering: .acquiring) == seen { lock.wait(for: workArrived) }
    }
}
