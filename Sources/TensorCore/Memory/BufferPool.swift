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
    package static let shared = BufferPool()

    private struct Buffer {
        let address: UInt
        let size: Int
    }

    private struct State {
        var idle: [Int: [UInt]] = [:]
        var idleBytes = 0
        var usedBytes = 0
        /// The most bytes in use at once since idle memory was last released.
        var peakBytes = 0

        /// Takes idle buffers out, the largest first, until used and idle memory together are no
        /// more than was once in use: reuse must not cost memory.
        mutating func takeExcess() -> [Buffer] {
            var excess: [Buffer] = []
            while idleBytes > 0, usedBytes + idleBytes > peakBytes, let size = idle.keys.max() {
                if let address = idle[size]?.popLast() {
                    excess.append(Buffer(address: address, size: size))
                    idleBytes -= size
                }
                if idle[size]?.isEmpty ?? true { idle[size] = nil }
            }
            return excess
        }
    }
    private let lock = NSLock()
    private var state = State()

    /// Sizes are rounded up to eighths of a power of two, so that nearly equal sizes share buffers
    /// and less than an eighth is wasted.
    static func roundedSize(_ bytes: Int) -> Int {
        let minimum = 512
        guard bytes > minimum else { return minimum }
        let step = 1 << max(6, Int.bitWidth - 1 - (bytes - 1).leadingZeroBitCount - 3)
        return (bytes + step - 1) / step * step
    }

    package init() {}

    package func take(_ bytes: Int) -> UnsafeMutableRawPointer {
        let size = BufferPool.roundedSize(bytes)
        let (reused, excess): (UInt?, [Buffer]) = lock.withLock {
            state.usedBytes += size
            state.peakBytes = max(state.peakBytes, state.usedBytes)
            if let address = state.idle[size]?.popLast() {
                state.idleBytes -= size
                return (address, [])
            }
            return (nil, state.takeExcess())
        }
        if let reused, let pointer = UnsafeMutableRawPointer(bitPattern: reused) { return pointer }
        BufferPool.giveBack(excess)
        if let pointer = BufferPool.allocate(size) { return pointer }
        releaseIdle()
        guard let pointer = BufferPool.allocate(size) else {
            preconditionFailure("out of memory: \(size) bytes")
        }
        return pointer
    }

    package func give(_ pointer: UnsafeMutableRawPointer, bytes: Int) {
        let size = BufferPool.roundedSize(bytes)
        lock.withLock {
            state.usedBytes -= size
            state.idle[size, default: []].append(UInt(bitPattern: pointer))
            state.idleBytes += size
        }
    }

    /// Gives all idle memory back to the system; worth doing between stages.
    package func releaseIdle() {
        let idle = lock.withLock {
            state.peakBytes = state.usedBytes
            return state.takeExcess()
        }
        BufferPool.giveBack(idle)
    }

    /// From this size on, buffers are mappings of their own: the system has them back at once when
    /// they are released, and large pages make touching them cheaper.
    private static let mappedSize = 1 << 20

    private static func allocate(_ size: Int) -> UnsafeMutableRawPointer? {
        guard size >= mappedSize else {
            var pointer: UnsafeMutableRawPointer?
            return posix_memalign(&pointer, 64, size) == 0 ? pointer : nil
        }
        #if os(Linux)
        let anonymous = MAP_PRIVATE | MAP_ANONYMOUS
        #else
        let anonymous = MAP_PRIVATE | MAP_ANON
        #endif
        guard let pointer = mmap(nil, size, PROT_READ | PROT_WRITE, anonymous, -1, 0),
            pointer != MAP_FAILED
        else { return nil }
        #if os(Linux)
        madvise(pointer, size, MADV_HUGEPAGE)
        #endif
        return pointer
    }

    private static func giveBack(_ buffers: [Buffer]) {
        for buffer in buffers {
            guard let pointer = UnsafeMutableRawPointer(bitPattern: buffer.address) else {
                continue
            }
            if buffer.size >= mappedSize { munmap(pointer, buffer.size) } else { free(pointer) }
        }
    }

    /// The bytes that wait for reuse.
    package var idleBytes: Int { lock.withLock { state.idleBytes } }

    /// The most bytes that were in use at once since idle memory was last released.
    package var peakBytes: Int { lock.withLock { state.peakBytes } }
}
