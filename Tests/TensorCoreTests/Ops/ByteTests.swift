import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Bytes, codes and numbered rows")
struct ByteTests {
    @Test("bytes survive the way to numbers and back")
    func roundTrip() {
        let bytes = (0...255).map { UInt8($0) }
        let x = Tensor(bytes: bytes, [1, 16, 16, 1])
        #expect(x[0, 0, 0, 0] == 0 && x[0, 15, 15, 0] == 1)
        #expect(x.bytes == bytes)
        #expect(Tensor([], [0]).bytes.isEmpty)
    }

    @Test("the nearest codes, the first of equals", arguments: [1, 9000])
    func nearest(rows: Int) {
        let codes = Tensor([0, 0, 1, 1, 0, 0, -1, 2], [4, 2])
        let points: [Float] = [0.1, 0.2, 0.9, 2, -0.9, 1.4, 0.5, 0.5]
        let x = Tensor((0..<2 * rows).map { points[$0 % 8] }, [1, rows, 2])
        #expect(x.nearestRows(of: codes) == (0..<rows).map { [0, 1, 3, 0][$0 % 4] })
    }

    @Test("rows by their numbers, repeated and in any order")
    func gathering() {
        let table = Tensor([1, 2, 3, 4, 5, 6], [3, 2])
        let got = table.embeddingLookup([2, 0, 2])
        #expect(got.shape == [3, 2])
        #expect(got.elements == [5, 6, 1, 2, 5, 6])
        #expect(table.embeddingLookup([]).shape == [0, 2])
    }
}
