import CWuerstchenKernels
import TensorCore
import _CWuerstchenKernelTwins
import _WuerstchenTestSupport

/// The products of one precision at one level.
struct PackedGEMM: Sendable, CustomStringConvertible {
    /// That of the panels.
    let precision: Precision
    let table: wk_gemm
    let description: String
    /// Columns of a panel that is neither the last nor the one before.
    let panelWidth: Int

    var rowPrecision: Precision { Precision(table.rows) }

    /// All that this processor has, and those for AVX-VNNI with the instruction in plain C; every
    /// function is tested in each.
    static let available: [PackedGEMM] =
        KernelLevel.allCases.flatMap { level in
            Precision.allCases.compactMap { precision in
                wk_gemm_at(level.kernelLevel, precision.format).map {
                    PackedGEMM(
                        precision: precision, table: $0.pointee,
                        description: "\(precision.rawValue) at \(level.rawValue)",
                        panelWidth: Int(level == .avx2 ? WK_AVX2_PANEL : WK_PANEL))
                }
            }
        }
        + [wk_twin_int8_avxvnni()].compactMap { $0 }.map {
            PackedGEMM(
                precision: .int8, table: $0.pointee, description: "int8 for AVX-VNNI",
                panelWidth: Int(WK_AVX2_PANEL))
        }
}

/// The numbers in words, as the header describes them.
private func numbers(_ word: UInt32, _ precision: Precision, isSigned: Bool) -> [Double] {
    switch precision {
    case .float32: return [Double(Float(bitPattern: word))]
    case .bfloat16:
        return [UInt16(truncatingIfNeeded: word), UInt16(word >> 16)].map {
            Double(Twin.value(ofBFloat16: $0))
        }
    case .int8:
        return [0, 8, 16, 24].map { shift in
            let byte = UInt8(truncatingIfNeeded: word >> shift)
            return isSigned ? Double(Int8(bitPattern: byte)) : Double(byte)
        }
    }
}

private let mark: UInt32 = 0x7fc0_beef

/// Rows of words that lie further apart than they are long, with marks between and after them.
struct WordRows {
    let rows: Int
    let depth: Int
    let precision: Precision
    let stride: Int
    var words: [UInt32]
    var scale: [Float]
    var offset: [Float]

    /// Rows to be written, so far marks.
    init(rows: Int, depth: Int, _ precision: Precision) {
        (self.rows, self.depth, self.precision) = (rows, depth, precision)
        stride = precision.words(depth) + 3
        words = [UInt32](repeating: mark, count: rows * stride)
        scale = [Float](repeating: .nan, count: rows)
        offset = scale
    }

    /// Floats, converted.
    init(_ x: SpacedRows, _ gemm: PackedGEMM, factors: [Float]? = nil) {
        self.init(rows: x.rows, depth: x.columns, gemm.rowPrecision)
        gemm.table.convert(
            &words, stride, &scale, &offset, x.memory, x.stride, rows, depth, factors)
    }

    /// bfloat16, converted.
    init(_ x: WordRows, _ gemm: PackedGEMM, factors: [Float]? = nil) {
        self.init(rows: x.rows, depth: x.depth, gemm.rowPrecision)
        gemm.table.convert_bfloat16(
            &words, stride, &scale, &offset, x.words, x.stride, rows, depth, factors)
    }

    /// The nearest bfloat16, as the twin has them.
    init(bfloat16 x: [Float], depth: Int) {
        self.init(rows: x.count / depth, depth: depth, .bfloat16)
        for row in 0..<rows {
            for word in 0..<precision.words(depth) { words[row * stride + word] = 0 }
            for place in 0..<depth {
                let bits = UInt32(Twin.bfloat16(x[row * depth + place]))
                words[row * stride + place / 2] |= place % 2 == 0 ? bits : bits << 16
            }
        }
    }

    /// The numbers of a row, those that fill up its last word too.
    func stored(_ row: Int) -> [Double] {
        words[row * stride..<row * stride + precision.words(depth)].flatMap {
            numbers($0, precision, isSigned: false)
        }
    }

    /// What the rows stand for.
    var values: [Double] {
        (0..<rows).flatMap { row in
            let (scale, offset) =
                precision == .int8 ? (Double(scale[row]), Double(offset[row])) : (1, 0)
            return stored(row).prefix(depth).map { scale * $0 + offset }
        }
    }

    var gapsAreUntouched: Bool {
        words.indices.allSatisfy { $0 % stride < precision.words(depth) || words[$0] == mark }
    }
}

/// The panels of a matrix, with marks after them.
struct PanelWords {
    let columns: Int
    let depth: Int
    let precision: Precision
    let count: Int
    /// Where panels begin, and the end in whole vectors.
    let starts: [Int]
    var words: [UInt32]
    var scale: [Float]
    var sums: [Float]

    init(columns: Int, depth: Int, _ gemm: PackedGEMM) {
        (self.columns, self.depth, precision) = (columns, depth, gemm.precision)
        count = precision.words(depth)
        starts = PanelWords.starts(columns, gemm.panelWidth)
        words = [UInt32](repeating: mark, count: (starts.last ?? 0) * count + 16)
        scale = [Float](repeating: .nan, count: columns)
        sums = scale
    }

    /// The panels of a matrix whose columns are given as rows, packed in one go or panel by panel.
    init(_ x: SpacedRows, _ gemm: PackedGEMM, inPieces: Bool = false) {
        self.init(columns: x.rows, depth: x.columns, gemm)
        for range in inPieces ? panels : [0..<columns] {
            x.memory.withUnsafeBufferPointer { memory in
                guard let base = memory.baseAddress else { return }
                gemm.table.pack(
                    &words, &scale, &sums, base + range.lowerBound * x.stride, x.stride,
                    range.lowerBound, range.upperBound, columns, depth)
            }
        }
    }

    /// Panels of 16, or panels of 48, the last one or two 16 or 32 wide.
    private static func starts(_ columns: Int, _ width: Int) -> [Int] {
        let vectors = (columns + 15) / 16
        if width == 16 { return (0...vectors).map { 16 * $0 } }
        var widths = [Int](repeating: 48, count: vectors / 3)
        switch (vectors % 3, widths.isEmpty) {
        case (1, true): widths = [16]
        case (1, false): widths = widths.dropLast() + [32, 32]
        case (2, _): widths.append(32)
        default: break
        }
        return widths.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1) }
    }

    /// The columns of each panel.
    var panels: [Range<Int>] {
        zip(starts, starts.dropFirst()).map { $0..<min($1, columns) }
    }

    /// The numbers of a column, those that fill up its last word too.
    func stored(_ column: Int) -> [Double] {
        let panel = starts.lastIndex { $0 <= column } ?? 0
        let (start, width) = (starts[panel], starts[panel + 1] - starts[panel])
        return (0..<count).flatMap {
            numbers(
                words[start * count + $0 * width + column - start], precision, isSigned: true)
        }
    }

    /// What the columns stand for, one after the other.
    var values: [Double] {
        (0..<columns).flatMap { column in
            let scale = precision == .int8 ? Double(scale[column]) : 1
            return stored(column).prefix(depth).map { scale * $0 }
        }
    }

    var endIsUntouched: Bool { words.suffix(16).allSatisfy { $0 == mark } }
}
