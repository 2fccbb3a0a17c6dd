import CWuerstchenKernels
import TensorCore
import Testing

extension KernelLevel {
    /// The levels that this processor has; every kernel is tested at each.
    static var available: [KernelLevel] { allCases.filter(\.isAvailable) }

    var kernels: wk_kernels {
        get throws { try #require(table).pointee }
    }
}

/// Numbers of columns around the widths of the vectors, and more.
let awkwardWidths = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 100, 128]

let activations: [(kernel: wk_activation, activation: Activation)] = [
    (WK_IDENTITY, .identity), (WK_GELU, .gelu), (WK_QUICK_GELU, .quickGELU), (WK_SILU, .silu),
    (WK_LEAKY_RELU, .leakyReLU), (WK_SIGMOID, .sigmoid),
]

/// Rows of a matrix that lie further apart than they are long. Between and after them are marks
/// that are not a number: who reads them gets a wrong result, who writes there is found out.
struct SpacedRows {
    let rows: Int
    let columns: Int
    let stride: Int
    var memory: [Float]

    private static let mark = Float(bitPattern: 0x7fc0_beef)

    init(_ elements: [Float], columns: Int, gap: Int = 3) {
        self.columns = columns
        rows = elements.count / columns
        stride = columns + gap
        memory = []
        for row in 0..<rows {
            memory += elements[row * columns..<(row + 1) * columns]
            memory += [Float](repeating: SpacedRows.mark, count: gap)
        }
    }

    /// Rows to be written, so far marks themselves.
    init(rows: Int, columns: Int, gap: Int = 2) {
        self.init(
            [Float](repeating: SpacedRows.mark, count: rows * columns), columns: columns, gap: gap)
    }

    var elements: [Float] {
        (0..<rows).flatMap { memory[$0 * stride..<$0 * stride + columns] }
    }

    var gapsAreUntouched: Bool {
        memory.indices.allSatisfy {
            $0 % stride < columns || memory[$0].bitPattern == SpacedRows.mark.bitPattern
        }
    }
}

/// Elements at a fixed place, for structures of pointers.
final class Fixed<Element> {
    let base: UnsafeMutablePointer<Element>
    let count: Int

    init(_ elements: [Element]) {
        count = elements.count
        base = .allocate(capacity: max(1, count))
        base.initialize(from: elements, count: count)
    }

    deinit {
        base.deallocate()
    }

    var elements: [Element] { Array(UnsafeBufferPointer(start: base, count: count)) }
}

typealias FixedFloats = Fixed<Float>

extension Fixed<Float> {
    var doubles: [Double] { elements.map(Double.init) }
}
