import TensorCore
import Testing

@Suite("Memory")
struct BufferPoolTests {
    @Test("buffers begin on a cache line", arguments: [0, 1, 3, 16, 17, 129, 1000, 4099])
    func alignment(count: Int) {
        let several = (0..<5).map { _ in Tensor(repeating: 1, [count]) }
        for tensor in several {
            #expect(tensor.withUnsafeElements { UInt(bitPattern: $0.baseAddress) } % 64 == 0)
            #expect(tensor.elements == [Float](repeating: 1, count: count))
        }
    }

    /// A pool of its own for each test: the shared one serves other tests at the same time.
    private let pool = BufferPool()

    /// The place of a buffer that is taken and given back at once.
    private func place(_ bytes: Int, isLasting: Bool = false) -> UnsafeMutableRawPointer {
        let buffer = pool.take(bytes, isLasting: isLasting)
        defer { pool.give(buffer) }
        return buffer.pointer
    }

    /// Idle buffers of some sizes, the last one given back last.
    private func idle(_ sizes: [Int]) -> [UnsafeMutableRawPointer] {
        let buffers = sizes.map { pool.take($0) }
        for buffer in buffers { pool.give(buffer) }
        return buffers.map(\.pointer)
    }

    @Test("a buffer that is given back serves all sizes of its eighth", arguments: [1, 1 << 12])
    func reuse(unit: Int) {
        // Between 32 and 64 units, buffers come in steps of 4 units.
        let unit = unit << 10
        let buffers = idle([40 * unit])
        for size in [40 * unit, 36 * unit + 4, 40 * unit - 4] { #expect(place(size) == buffers[0]) }
        #expect(pool.idleBytes == 40 * unit)
        pool.releaseIdle()
    }

    @Test("of the idle buffers the smallest that fits is taken, of equals the last")
    func bestFit() {
        let kilobyte = 1 << 10
        let buffers = idle([48, 44, 40, 40, 36, 56].map { $0 * kilobyte })
        #expect(place(40 * kilobyte) == buffers[3])
        #expect(place(44 * kilobyte) == buffers[1])
        #expect(place(46 * kilobyte) == buffers[0])
        // While the best is in use, the next best; two are never in one place.
        let several = (0..<4).map { _ in pool.take(40 * kilobyte) }
        #expect(several.map(\.pointer) == [buffers[3], buffers[2], buffers[1], buffers[0]])
        for buffer in several { pool.give(buffer) }
        pool.releaseIdle()
    }

    @Test(
        "an idle buffer that is much larger is left alone",
        arguments: [
            (64 << 10, false, 80 << 10), (16 << 20, false, 40 << 20), (16 << 20, true, 20 << 20),
        ])
    func largestSize(size: Int, isLasting: Bool, largest: Int) {
        let fitting = idle([largest])
        #expect(place(size, isLasting: isLasting) == fitting[0])
        pool.releaseIdle()
        // The next larger size that there is, and so much besides that nothing is released.
        _ = idle([largest + 1, 20 * size])
        let idleBytes = pool.idleBytes
        let buffer = pool.take(size, isLasting: isLasting)
        #expect(pool.idleBytes == idleBytes)
        pool.give(buffer)
        pool.releaseIdle()
    }

    @Test("memory is little more than was once in use, and the oldest goes first")
    func footprint() {
        let megabyte = 1 << 20
        // 32 in use at once, so that 36 may be there.
        let buffers = idle([4, 8, 20].map { $0 * megabyte })
        #expect(pool.peakBytes == 32 * megabyte && pool.idleBytes == 32 * megabyte)
        // Nothing fits, but there is room.
        let small = pool.take(2 * megabyte)
        #expect(pool.idleBytes == 32 * megabyte)
        // There is room for so much when the oldest is gone.
        let next = pool.take(3 * megabyte)
        #expect(pool.idleBytes == 28 * megabyte)
        #expect(place(8 * megabyte) == buffers[1] && place(20 * megabyte) == buffers[2])
        // What was given back again is the youngest now.
        _ = place(8 * megabyte)
        let another = pool.take(1 * megabyte)
        #expect(pool.idleBytes == 28 * megabyte)
        let large = pool.take(3 * megabyte)
        #expect(pool.idleBytes == 8 * megabyte && place(8 * megabyte) == buffers[1])
        #expect(pool.peakBytes == 32 * megabyte)
        for buffer in [small, next, another, large] { pool.give(buffer) }
        pool.releaseIdle()
        #expect(pool.idleBytes == 0 && pool.peakBytes == 0)
    }

    @Test("while anybody holds a retention more memory may be kept")
    func retention() {
        let megabyte = 1 << 20
        let usual = pool.slack
        var retentions = [BufferPool.Retention(of: pool), BufferPool.Retention(of: pool)]
        // 32 in use at once, so that 56 may be there: nothing is released for what does not fit.
        _ = idle([4, 8, 20].map { $0 * megabyte })
        var buffers = [2, 3].map { pool.take($0 * megabyte) }
        #expect(pool.idleBytes == 32 * megabyte)
        retentions.removeLast()
        #expect(pool.slack > usual)
        retentions.removeLast()
        #expect(pool.slack == usual)
        // 36 again.
        buffers.append(pool.take(1 * megabyte))
        #expect(pool.idleBytes == 28 * megabyte)
        for buffer in buffers { pool.give(buffer) }
        pool.releaseIdle()
    }

    @Test("what is in use stays when idle memory is released, and counts from then on")
    func release() {
        let used = pool.take(3 << 20)
        _ = idle([1 << 20, 5 << 20])
        #expect(pool.peakBytes == 9 << 20)
        pool.releaseIdle()
        #expect(pool.idleBytes == 0 && pool.peakBytes == 3 << 20)
        pool.give(used)
        #expect(place(3 << 20) == used.pointer)
        pool.releaseIdle()
    }

    @Test("sizes are rounded up by less than an eighth")
    func rounding() {
        for bytes in [
            0, 1, 511, 512, 513, 1000, 4096, 4097, 5000, 1 << 20, (1 << 20) + 1, 9_999_999,
        ] {
            _ = place(bytes)
            let size = pool.peakBytes
            #expect(size >= max(512, bytes) && size % 64 == 0)
            #expect(size <= max(512, bytes + bytes / 8 + 64))
            pool.releaseIdle()
            _ = place(size)
            #expect(pool.peakBytes == size)
            pool.releaseIdle()
        }
    }

    @Test("buffers in use are not handed out twice")
    func distinct() {
        let several = (0..<20).map { Tensor(repeating: Float($0), [33_333]) }
        let addresses = Set(
            several.map { $0.withUnsafeElements { UInt(bitPattern: $0.baseAddress) } })
        #expect(addresses.count == 20)
        for (number, tensor) in several.enumerated() {
            #expect(tensor.elements.allSatisfy { $0 == Float(number) })
        }
    }
}
