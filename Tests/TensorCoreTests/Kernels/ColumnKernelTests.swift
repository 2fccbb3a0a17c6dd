import CWuerstchenKernels
import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Kernels: rows and columns of a matrix")
struct ColumnKernelTests {
    private struct PackedWeight {
        let rows = 5
        let columns: Int
        let x: SpacedRows
        let byColumn: [Float]
        let shift: [Float]
        let byRow: [Float]

        init(columns: Int) {
            var numbers = RandomNumbers(seed: columns)
            self.columns = columns
            x = SpacedRows(numbers.floats(rows * columns), columns: columns)
            byColumn = numbers.floats(columns)
            shift = numbers.floats(columns)
            byRow = numbers.floats(rows)
        }

        func map(_ body: (_ x: Double, _ row: Int, _ column: Int) -> Double) -> [Double] {
            x.elements.enumerated().map { body(Double($1), $0 / columns, $0 % columns) }
        }
    }

    @Test("scale_rows", arguments: KernelLevel.available, awkwardWidths)
    func scaleRows(level: KernelLevel, columns: Int) throws {
        let matrix = PackedWeight(columns: columns)
        var y = matrix.x
        try level.kernels.scale_rows(&y.memory, y.stride, matrix.rows, columns, matrix.byRow)
        expectNear(
            y.elements, matrix.map { x, row, _ in x * Double(matrix.byRow[row]) }, largest: 1e-7)
        #expect(y.gapsAreUntouched)
    }

    @Test("scale_columns", arguments: KernelLevel.available, awkwardWidths)
    func scaleColumns(level: KernelLevel, columns: Int) throws {
        let matrix = PackedWeight(columns: columns)
        var y = SpacedRows(rows: matrix.rows, columns: columns)
        try level.kernels.scale_columns(
            &y.memory, y.stride, matrix.x.memory, matrix.x.stride, matrix.rows, columns,
            matrix.byColumn)
        expectNear(
            y.elements, matrix.map { x, _, column in x * Double(matrix.byColumn[column]) },
            largest: 1e-7)
        #expect(y.gapsAreUntouched)
    }

    @Test("affine_columns", arguments: KernelLevel.available, awkwardWidths)
    func affineColumns(level: KernelLevel, columns: Int) throws {
        let matrix = PackedWeight(columns: columns)
        // These rows have no gaps; all of them together are followed by one.
        var y = SpacedRows(rows: 1, columns: matrix.rows * columns)
        try level.kernels.affine_columns(
            &y.memory, matrix.x.elements, matrix.rows, columns, matrix.byColumn, matrix.shift)
        let want = matrix.map { x, _, column in
            x * Double(matrix.byColumn[column]) + Double(matrix.shift[column])
        }
        expectNear(y.elements, want, largest: 3e-7)
        #expect(y.gapsAreUntouched)
    }

    @Test("sum_columns adds", arguments: KernelLevel.available, awkwardWidths)
    func sums(level: KernelLevel, columns: Int) throws {
        let matrix = PackedWeight(columns: columns)
        let x = matrix.x
        var sums = SpacedRows(matrix.shift, columns: columns)
        try level.kernels.sum_columns(&sums.memory, x.memory, x.stride, matrix.rows, columns)
        let want = (0..<columns).map { column in
            (0..<matrix.rows).reduce(Double(matrix.shift[column])) { sum, row in
                sum + Double(x.elements[row * columns + column])
            }
        }
        expectNear(sums.elements, want, largest: 1e-6)
        #expect(sums.gapsAreUntouched)
    }
}
