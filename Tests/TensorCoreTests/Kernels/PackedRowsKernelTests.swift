import CWuerstchenKernels
import TensorCore
import Testing
import _WuerstchenTestSupport

/// Rows of a file become the panels that their floats become, on every processor.
@Suite("Kernels for rows that are rounded already") struct PackedRowsKernelTests {
    /// The rows of a matrix, and of 8-bit ones the scales, as one level of kernels rounds them.
    private struct Rows: Equatable {
        var bytes: [UInt8] = []
        var scales: [Float] = []

        init(_ x: [Float], depth: Int, _ precision: Precision, _ kernels: wk_kernels) {
            for start in stride(from: 0, to: x.count, by: depth) {
                let row = Array(x[start..<start + depth])
                if precision == .int8 {
                    var numbers = [Int8](repeating: 0, count: depth)
                    scales.append(kernels.narrow_int8(&numbers, row, depth))
                    bytes += numbers.map(UInt8.init(bitPattern:))
                } else {
                    var numbers = [UInt16](repeating: 0, count: depth)
                    kernels.narrow_bfloat16(&numbers, row, depth)
                    bytes += numbers.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
                }
            }
        }
    }

    @Test(
        "give the panels of the matrix", arguments: PackedGEMM.available,
        [1, 16, 17, 33, 64, 97, 150])
    func pack(gemm: PackedGEMM, columns: Int) throws {
        guard let pack = gemm.table.pack_rows else {
            #expect(gemm.precision == .float32)
            return
        }
        var random = RandomNumbers(seed: columns)
        for depth in [1, 2, 3, 5, 63, 64, 65, 130] {
            var x = random.floats(columns * depth, spread: 2, centre: -0.5)
            for place in 0..<depth { x[columns / 2 * depth + place] = 0 }
            let want = PanelWords(SpacedRows(x, columns: depth), gemm)
            let all = KernelLevel.available.compactMap {
                wk_kernels_at($0.kernelLevel).map {
                    Rows(x, depth: depth, gemm.precision, $0.pointee)
                }
            }
            let rows = try #require(all.first)
            #expect(all.allSatisfy { $0 == rows }, "\(depth)")
            var got = PanelWords(columns: columns, depth: depth, gemm)
            let length = rows.bytes.count / columns
            // At an odd address.
            let shifted = [0] + rows.bytes
            for panel in got.panels.reversed() {
                shifted.withUnsafeBytes { bytes in
                    guard let base = bytes.baseAddress else { return }
                    if gemm.precision == .int8 { got.scale = rows.scales }
                    pack(
                        &got.words, got.scale, &got.sums, base + 1 + panel.lowerBound * length,
                        panel.lowerBound, panel.upperBound, columns, depth)
                }
            }
            #expect(got.words == want.words, "\(depth)")
            guard gemm.precision == .int8 else { continue }
            #expect(got.scale == want.scale && got.sums == want.sums, "\(depth)")
        }
    }
}
