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

    @Test("a buffer that is given back serves all sizes of its eighth", arguments: [1, 1 << 12])
    func reuse(unit: Int) {
        // A pool of its own: the shared one serves other tests at the same time. Between 32 and 64
        // units, buffers come in steps of 4 units.
        let pool = BufferPool()
        let unit = unit << 10
        func address(_ bytes: Int) -> UnsafeMutableRawPointer {
            let pointer = pool.take(bytes)
            pool.give(pointer, bytes: bytes)
            return pointer
        }
        let larger = pool.take(64 * unit)
        let first = pool.take(40 * unit)
        let smaller = pool.take(36 * unit)
        pool.give(first, bytes: 40 * unit)
        #expect(address(40 * unit) == first)
        #expect(address(36 * unit + 4) == first)
        #expect(address(40 * unit - 4) == first)
        pool.give(larger, bytes: 64 * unit)
        #expect(address(40 * unit + 4) != first)
        #expect(address(36 * unit) != first)
        pool.give(smaller, bytes: 36 * unit)
        pool.releaseIdle()
    }

    @Test("idle and used memory together are never more than was once in use")
    func footprint() {
        let pool = BufferPool()
        for size in [1, 3, 2, 7, 5, 4, 6] {
            let pointer = pool.take(size << 20)
            pool.give(pointer, bytes: size << 20)
            #expect(pool.idleBytes <= pool.peakBytes)
        }
        #expect(pool.peakBytes == 7 << 20)
        pool.releaseIdle()
        #expect(pool.idleBytes == 0 && pool.peakBytes == 0)
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
