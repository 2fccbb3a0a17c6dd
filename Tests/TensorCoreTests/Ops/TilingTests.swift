import TensorCore
import Testing
import _WuerstchenTestSupport

/// How products are cut into tiles shows in nothing but mistakes: a cell that no tile computes, or
/// one that two do, whose sum of squares is then counted twice.
@Suite("Tiles of a product")
struct TilingTests {
    private static let sizes = [
        [1, 1, 1], [1, 4096, 1100], [5000, 1, 2000], [100, 100, 900], [333, 257, 300],
        [16, 2048, 2048], [2048, 32, 640], [31, 63, 9000], [4099, 129, 1], [720, 1111, 16],
        [1111, 720, 4], [4097, 257, 17], [513, 1025, 33], [100_003, 3, 2], [2, 100_003, 2],
    ]

    /// In the row `r` and the column `c` stands (1 + r mod 5) · (1 + c mod 3).
    private func check(_ size: [Int], _ form: PackedWeightForm) {
        let (rows, columns, depth) = (size[0], size[1], size[2])
        let x = Tensor([1, rows, depth]) { target in
            target.initialize(repeating: 2)
            for row in 0..<rows { target[row * depth] = Float(1 + row % 5) }
        }
        let weight = Tensor([columns, depth]) { target in
            target.initialize(repeating: 0)
            for column in 0..<columns { target[column * depth] = Float(1 + column % 3) }
        }
        let matrix = form(weight)
        let next = PackedWeight(plain: Tensor(repeating: 0, [1, columns]))
        let (kept, sumOfSquares) = Tensor.linearWithSumOfSquares(
            [Tensor.Term(x, matrix)], for: next)
        let wrong = kept.floats?.withUnsafeElements { (got) -> [Int] in
            got.indices.filter { place in
                let want = (1 + place / columns % 5) * (1 + place % columns % 3)
                return abs(got[place] - Float(want)) > 0.1
            }
        }
        #expect(wrong == [])
        var squares = 0
        for row in 0..<rows { squares += (1 + row % 5) * (1 + row % 5) }
        let want = (0..<columns).map { column in
            Double(squares * (1 + column % 3) * (1 + column % 3))
        }
        expectNear(sumOfSquares.elements, want, squares: form.bound(1e-9))
    }

    @Test("tiles cover every cell once", arguments: sizes)
    func coverage(size: [Int]) { check(size, .plain) }

    @Test(
        "tiles of packed products cover every cell once",
        arguments: [
            [1, 1, 1], [1, 2048, 550], [700, 1, 300], [97, 100, 200], [193, 113, 3],
            [9, 4177, 300],
        ], PackedWeightForm.allCases)
    func packedCoverage(size: [Int], form: PackedWeightForm) { check(size, form) }

    @Test("tiles lie side by side", arguments: sizes, [false, true])
    func arithmetic(size: [Int], isPacked: Bool) {
        let (rows, columns) = (size[0], size[1])
        let tiling = Tiling(rows: rows, columns: columns, depth: size[2], isPacked: isPacked)
        var cells = 0
        for index in 0..<tiling.count {
            let tile = tiling[index]
            cells += tile.rows.count * tile.columns.count
            #expect(!tile.rows.isEmpty && !tile.columns.isEmpty)
            #expect(tile.rows.upperBound <= rows && tile.columns.upperBound <= columns)
            #expect((0..<tiling.rowTiles).contains(tile.rowTile))
            // Where panels may be cut: at 48, and not so that a single vector is left.
            let isCut = tile.columns.upperBound < columns
            if isPacked && isCut {
                #expect(tile.columns.upperBound % 48 == 0 && columns - tile.columns.upperBound > 16)
            }
        }
        #expect(cells == rows * columns)
    }

    @Test("large products feed several cores", arguments: [false, true])
    func parallelism(isPacked: Bool) {
        for (rows, columns, depth) in [(24, 5120, 1280), (77, 1280, 5120), (4096, 320, 1280)] {
            let tiling = Tiling(rows: rows, columns: columns, depth: depth, isPacked: isPacked)
            #expect(tiling.count >= 8, "\(rows)×\(columns)×\(depth): \(tiling.count)")
        }
    }
}
