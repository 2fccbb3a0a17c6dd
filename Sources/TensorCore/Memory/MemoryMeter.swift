private import Synchronization

/// Counts the memory that some work takes, without doing the work.
///
/// Inside ``measure(_:)`` tensors have their shapes and their places in a pool of its own, whose
/// memory nobody touches, so that it costs nothing; and no operation computes any elements. So what
/// is counted is what the work itself asks for, buffer by buffer, and need not be described a
/// second time.
package final class MemoryMeter: Sendable {
    /// The meter of the work under way on this task or thread.
    @TaskLocal package static var current: MemoryMeter?

    /// Whether work is measured rather than done.
    package static var isMeasuring: Bool { current != nil }

    /// The bytes in use and the most there were.
    private final class Count: Sendable {
        private let state = Mutex((now: 0, peak: 0))

        var peak: Int { state.withLock { $0.peak } }

        func add(_ bytes: Int) {
            state.withLock {
                $0.now += bytes
                $0.peak = max($0.peak, $0.now)
            }
        }
    }

    private let count: Count
    /// Bytes of mapped files that were read, by file.
    private let mapped = Mutex<[ObjectIdentifier: Int]>([:])
    let pool: BufferPool

    private init() {
        let count = Count()
        self.count = count
        pool = BufferPool(alwaysKept: BufferPool.standardKept, counting: { count.add($0) })
    }

    /// The most bytes that work has at once.
    ///
    /// - Parameter work: The work. What it does besides computing with tensors, it does.
    /// - Returns: The bytes; of work inside other work that is measured, those of the other so far.
    /// - Throws: What the work throws.
    package static func measure(_ work: () throws -> Void) rethrows -> Int {
        if let meter = current {
            try work()
            return meter.count.peak
        }
        let meter = MemoryMeter()
        try $current.withValue(meter) { try work() }
        return meter.count.peak
    }

    /// Work that is no part of what is measured, such as finding out whether parameters fit.
    package static func withoutCounting<Result>(_ work: () throws -> Result) rethrows -> Result {
        try $current.withValue(nil) { try work() }
    }

    /// What work makes of the shapes of tensors alone, in no time and uncounted.
    package static func shapes<Result>(of work: () throws -> Result) rethrows -> Result {
        try $current.withValue(MemoryMeter()) { try work() }
    }

    /// Counts bytes that come, or go if there are fewer than none.
    package func add(_ bytes: Int) { count.add(bytes) }

    /// Counts bytes of a mapped file that come into memory because they are read, or go.
    func addMapped(_ bytes: Int, of file: AnyObject) {
        mapped.withLock { $0[ObjectIdentifier(file), default: 0] += bytes }
        count.add(bytes)
    }

    /// A file is mapped no longer.
    func unmapped(_ file: ObjectIdentifier) {
        count.add(-(mapped.withLock { $0.removeValue(forKey: file) } ?? 0))
    }
}
