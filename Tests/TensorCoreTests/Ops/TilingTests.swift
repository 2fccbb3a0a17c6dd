import TensorCore
import Testing
import _WuerstchenTestSupport

/// How products are cut into tiles shows in nothing but mistakes: a cell that no tile computes, or
/// one that two do, whose energy is then counted twice.
@Suite("Tiles of a product")
struct TilingTests {
    private static let sizes = [
        [1, 1, 1], [1, 4096, 1100], [5000, 1, 2000], [100, 100, 900], [333, 257, 300],
        [16, 2048, 2048], [2048, 32, 640], [31, 63, 9000], [4099, 129, 1], [720, 1111, 16],
        [1111, 720, 4], [4097, 257, 17], [513, 1025, 33], [100_003, 3, 2], [2, 100_003, 2],
    ]

    /// In the row `r` and the column `c` stands (1 + r mod 5) · (1 + c mod 3).
    @Test("tiles cover every cell once", arguments: sizes)
    func coverage(size: [Int]) {
        let (rows, columns, depth) = (size[0], size[1], size[2])
        let x = Tensor([1, rows, depth]) { target in
            target.initialize(repeating: 2)
            for row in 0..<rows { target[row * depth] = Float(1 + row % 5) }
        }
        let weight = Tensor([columns, depth]) { target in
            target.initialize(repeating: 0)
            for column in 0..<columns { target[column * depth] = Float(1 + column % 3) }
        }
        let (got, energy) = Tensor.linearWithEnergy([Tensor.Term(x, weight)])
        let wrong = got.withUnsafeElements { got in
            got.indices.first { place in
                got[place] != Float(1 + place / columns % 5) * Float(1 + place % columns % 3)
            }
        }
        #expect(wrong == nil)
        var squares = 0
        for row in 0..<rows { squares += (1 + row % 5) * (1 + row % 5) }
        let want = (0..<columns).map { column in
            Double(squares * (1 + column % 3) * (1 + column % 3))
        }
        expectNear(energy.elements, want, squares: 1e-9)
    }
}
