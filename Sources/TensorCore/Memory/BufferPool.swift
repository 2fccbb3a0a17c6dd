private import Foundation

#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#else
private import Darwin
#endif

/// Memory for tensors, kept for reuse when it is given back.
///
/// A step of a network needs buffers of the same sizes as the step before; touching fresh pages for
/// them would cost more than the arithmetic. Buffers are aligned to 64 bytes.
///
/// `@unchecked Sendable`: the state is only touched under the lock.
package final class BufferPool: @unchecked Sendable {
    /// The pool that all tensors share.
    package static let shared = BufferPool(alwaysKept: standardKept)
    static let standardKept = 64 << 20

    /// The pool of the work under way: the shared one, unless that is only measured.
    static var current: BufferPool { MemoryMeter.current?.pool ?? shared }

    /// Memory that was handed out, to be given back once. `@unchecked Sendable`: whoever holds it
    /// decides who touches the memory, so holding one is `@safe` and following its pointer is not.
    @safe
    package struct Buffer: @unchecked Sendable {
        package let pointer: UnsafeMutableRawPointer
        /// Bytes that were asked for, rounded.
        fileprivate let asked: Int
        /// Bytes that there are: more, when an idle buffer was a little larger.
        fileprivate let size: Int
        /// Bytes that were asked for so far, and take memory because somebody writes to them.
        fileprivate var touched: Int
    }

    private struct State {
        /// Up to so many bytes stay in the pool between the stages of a cascade and however their
        /// sizes change: small images need no more, and fresh pages would cost them a good part of
        /// their time.
        let alwaysKept: Int
        /// The one that was given back last is at the end.
        private var idle: [Buffer] = []
        private(set) var idleBytes = 0
        /// Bytes of buffers that are handed out.
        private var takenBytes = 0
        /// Bytes that were asked for.
        private var usedBytes = 0
        /// The most bytes in use at once since idle memory was last released.
        private(set) var peakBytes = 0
        /// How many hold a ``Retention``.
        var retentions = 0
        /// How much more than that may be kept, as a share of it.
        var slack: Double { retentions > 0 ? 0.75 : 0.125 }

        init(alwaysKept: Int) { self.alwaysKept = alwaysKept }

        mutating func use(_ size: Int) {
            usedBytes += size
            peakBytes = max(peakBytes, usedBytes)
        }

        /// The idle buffer that fits best without being too large, the most recent of those.
        mutating func reuse(_ size: Int, upTo largest: Int) -> Buffer? {
            var best: Int?
            for index in idle.indices.reversed()
            where idle[index].size >= size && idle[index].size <= largest {
                if let found = best, idle[found].size <= idle[index].size { continue }
                best = index
                if idle[index].size == size { break }
            }
            guard let best else { return nil }
            let found = idle.remove(at: best)
            idleBytes -= found.size
            takenBytes += found.size
            return unsafe Buffer(
                pointer: found.pointer, asked: size, size: found.size, touched: found.touched)
        }

        mutating func add(_ size: Int) { takenBytes += size }

        mutating func giveBack(_ buffer: Buffer) {
            usedBytes -= buffer.asked
            takenBytes -= buffer.size
            idleBytes += buffer.size
            idle.append(buffer)
        }

        /// Takes idle buffers out, those first that have been idle longest, until there is room for
        /// `size` more bytes without much more memory than was once in use: reuse must not cost
        /// much memory, but a step that needs the same buffers as the step before should find them
        /// all.
        mutating func takeExcess(for size: Int) -> [Buffer] {
            let limit = max(alwaysKept, peakBytes + Int(Double(peakBytes) * slack))
            var count = 0
            while count < idle.count, takenBytes + idleBytes + size > limit {
                idleBytes -= idle[count].size
                count += 1
            }
            defer { idle.removeFirst(count) }
            return Array(idle[..<count])
        }

        mutating func takeIdle() -> [Buffer] {
            defer { (idle, idleBytes, peakBytes) = ([], 0, usedBytes) }
            return idle
        }
    }
    private let lock = NSLock()
    private var state: State
    /// Told about bytes that come and go, where memory is counted and nobody touches it.
    private let counting: (@Sendable (Int) -> Void)?

    /// Sizes are rounded up to eighths of a power of two, so that nearly equal sizes share buffers
    /// and less than an eighth is wasted.
    static func roundedSize(_ bytes: Int) -> Int {
        let minimum = 512
        guard bytes > minimum else { return minimum }
        let step = 1 << max(6, Int.bitWidth - 1 - (bytes - 1).leadingZeroBitCount - 3)
        return (bytes + step - 1) / step * step
    }

    package init(alwaysKept: Int = 0, counting: (@Sendable (Int) -> Void)? = nil) {
        state = State(alwaysKept: alwaysKept)
        self.counting = counting
    }

    /// Memory of at least some size.
    ///
    /// - Parameters:
    ///   - bytes: The size.
    ///   - isLasting: Whether the memory will be kept for longer than a step, as weights are. Then
    ///     an idle buffer that is much larger is not used for it.
    /// - Returns: The memory, to be given back with ``give(_:)``.
    package func take(_ bytes: Int, isLasting: Bool = false) -> Buffer {
        let size = BufferPool.roundedSize(bytes)
        // A large buffer that is there costs less than pages that are not.
        let largest = isLasting || size < BufferPool.largeSize ? size + size / 4 : 5 * size / 2
        let (reused, excess): (Buffer?, [Buffer]) = lock.withLock {
            state.use(size)
            if let buffer = state.reuse(size, upTo: largest) { return (buffer, []) }
            let excess = state.takeExcess(for: size)
            state.add(size)
            return (nil, excess)
        }
        if var reused {
            counting?(max(0, bytes - reused.touched))
            reused.touched = max(reused.touched, bytes)
            return reused
        }
        free(excess)
        counting?(bytes)
        if let pointer = unsafe allocate(size) {
            return unsafe Buffer(pointer: pointer, asked: size, size: size, touched: bytes)
        }
        releaseIdle()
        guard let pointer = unsafe allocate(size) else {
            // Without idle memory the most that was in use is what is in use now.
            endForWantOfMemory(size, used: peakBytes)
        }
        return unsafe Buffer(pointer: pointer, asked: size, size: size, touched: bytes)
    }

    package func give(_ buffer: Buffer) {
        lock.withLock { state.giveBack(buffer) }
    }

    /// Gives all idle memory back to the system.
    package func releaseIdle() {
        free(lock.withLock { state.takeIdle() })
    }

    /// Gives all idle memory back to the system if there is much; worth doing between stages.
    package func trim() {
        free(
            lock.withLock { state.idleBytes > state.alwaysKept ? state.takeIdle() : [] })
    }

    /// From this size on, buffers are mappings of their own: the system has them back at once when
    /// they are released, which the heap might keep, and large pages make touching them cheaper.
    private static let mappedSize = 1 << 18

    /// From this size on, a buffer of more than twice the size is better than fresh memory.
    private static let largeSize = 8 << 20

    private func allocate(_ size: Int) -> UnsafeMutableRawPointer? {
        guard size >= BufferPool.mappedSize else {
            var pointer: UnsafeMutableRawPointer?
            return unsafe posix_memalign(&pointer, 64, size) == 0 ? pointer : nil
        }
        #if os(Linux)
        // What is only counted may be more than there is.
        let anonymous = MAP_PRIVATE | MAP_ANONYMOUS | (counting == nil ? 0 : MAP_NORESERVE)
        #else
        let anonymous = MAP_PRIVATE | MAP_ANON
        #endif
        guard let pointer = unsafe mmap(nil, size, PROT_READ | PROT_WRITE, anonymous, -1, 0),
            unsafe pointer != MAP_FAILED
        else { return nil }
        #if os(Linux)
        if counting == nil { unsafe madvise(pointer, size, MADV_HUGEPAGE) }
        #endif
        return unsafe pointer
    }

    private func free(_ buffers: [Buffer]) {
        counting?(-buffers.reduce(0) { $0 + $1.touched })
        for buffer in buffers {
            if buffer.size >= BufferPool.mappedSize {
                unsafe munmap(buffer.pointer, buffer.size)
            } else {
                unsafe Foundation.free(buffer.pointer)
            }
        }
    }

    /// While one is held, more memory is kept for reuse: a training step takes buffers of many more
    /// sizes than a forward pass, in another order each way.
    package final class Retention: Sendable {
        private let pool: BufferPool

        /// - Parameter pool: The pool; nil for that of the work under way.
        package init(of pool: BufferPool? = nil) {
            let pool = pool ?? .current
            self.pool = pool
            pool.lock.withLock { pool.state.retentions += 1 }
        }

        deinit { pool.lock.withLock { pool.state.retentions -= 1 } }
    }

    /// How much more memory than was once in use at once may be kept for reuse, as a share of that.
    package var slack: Double { lock.withLock { state.slack } }

    deinit { free(state.takeIdle()) }

    /// The bytes that wait for reuse.
    package var idleBytes: Int { lock.withLock { state.idleBytes } }

    /// The most bytes that were in use at once since idle memory was last released.
    package var peakBytes: Int { lock.withLock { state.peakBytes } }
}
