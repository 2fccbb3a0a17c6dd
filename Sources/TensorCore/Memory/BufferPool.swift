internal import Synchronization

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
package final class BufferPool: Sendable {
    /// The pool that all tensors share.
    package static let shared = BufferPool()

    private struct State: ~Copyable {
        var idle: [Int: [UInt]] = [:]
        var idleBytes = 0
        var usedBytes = 0
        var peakBytes = 0
    }
    private let state = Mutex(State())

    /// Idle memory beyond this is given back to the system: a reserve for the buffers of one step
    /// at the largest sizes, small beside the weights of a full-size stage.
    private let idleLimit = 1 << 30

    /// Sizes are rounded up to eighths of a power of two, so that nearly equal sizes share buffers
    /// and less than an eighth is wasted.
    static func roundedSize(_ bytes: Int) -> Int {
        let minimum = 512
        guard bytes > minimum else { return minimum }
        let step = 1 << max(6, Int.bitWidth - 1 - (bytes - 1).leadingZeroBitCount - 3)
        return (bytes + step - 1) / step * step
    }

    func take(_ bytes: Int) -> UnsafeMutableRawPointer {
        let size = BufferPool.roundedSize(bytes)
        let reused: UInt? = state.withLock { state in
            state.usedBytes += size
            state.peakBytes = max(state.peakBytes, state.usedBytes)
            guard let address = state.idle[size]?.popLast() else { return nil }
            state.idleBytes -= size
            return address
        }
        if let reused, let pointer = UnsafeMutableRawPointer(bitPattern: reused) { return pointer }
        var pointer: UnsafeMutableRawPointer?
        if posix_memalign(&pointer, 64, size) != 0 {
            // Other sizes may be holding what is needed.
            releaseIdle()
            _ = posix_memalign(&pointer, 64, size)
        }
        guard let pointer else { preconditionFailure("out of memory: \(size) bytes") }
        return pointer
    }

    func give(_ pointer: UnsafeMutableRawPointer, bytes: Int) {
        let size = BufferPool.roundedSize(bytes)
        let kept = state.withLock { state in
            state.usedBytes -= size
            guard state.idleBytes + size <= idleLimit else { return false }
            state.idle[size, default: []].append(UInt(bitPattern: pointer))
            state.idleBytes += size
            return true
        }
        if !kept { free(pointer) }
    }

    /// Gives all idle memory back to the system; worth doing between stages.
    package func releaseIdle() {
        let idle = state.withLock { state in
            defer {
                state.idle = [:]
                state.idleBytes = 0
            }
            return state.idle
        }
        for address in idle.values.joined() {
            free(UnsafeMutableRawPointer(bitPattern: address))
        }
    }

    /// The most bytes that were in use at once since the process started.
    package var peakBytes: Int { state.withLock { $0.peakBytes } }
}
