import TensorCore
import Testing

/// Sizes here are ones that no other test uses, because all share the pool.
@Suite("Memory", .serialized)
struct BufferPoolTests {
    /// The address of a tensor of so many bytes that lived for a moment. Its pages are not touched.
    private func address(bytes: Int) -> UInt {
        Tensor([bytes / 4]) { _ in }.withUnsafeElements { UInt(bitPattern: $0.baseAddress) }
    }

    @Test("buffers begin on a cache line", arguments: [0, 1, 3, 16, 17, 129, 1000, 4099])
    func alignment(count: Int) {
        let several = (0..<5).map { _ in Tensor(repeating: 1, [count]) }
        for tensor in several {
            #expect(tensor.withUnsafeElements { UInt(bitPattern: $0.baseAddress) } % 64 == 0)
            #expect(tensor.elements == [Float](repeating: 1, count: count))
        }
    }

    @Test("a buffer that is given back serves all sizes of its eighth")
    func reuse() {
        // Pictures that other tests make give all idle memory back, perhaps in the middle.
        let isReused = (0..<20).contains { _ in
            // Between 32 and 64 MiB buffers come in steps of 4 MiB.
            let first = address(bytes: 40 << 20)
            return address(bytes: 40 << 20) == first
                && address(bytes: 36 << 20 | 4) == first
                && address(bytes: (40 << 20) - 4) == first
                && address(bytes: 40 << 20 | 4) != first
                && address(bytes: 36 << 20) != first
                && address(bytes: 40 << 20) == first
        }
        #expect(isReused)
        BufferPool.shared.releaseIdle()
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

    @Test("the peak counts what is in use at once, not what was ever asked for")
    func peak() {
        let before = BufferPool.shared.peakBytes
        let large = 768 << 20
        for _ in 0..<50 { _ = address(bytes: large) }
        #expect(BufferPool.shared.peakBytes >= large)
        // Other tests run at the same time, but none needs nearly as much.
        #expect(BufferPool.shared.peakBytes < before + 10 * large)
        BufferPool.shared.releaseIdle()
    }
}
