package import CWuerstchenKernels

/// The weight of a linear layer, `[outputs, features]`, in the form in which it is multiplied.
///
/// Where the processor has AVX-512 or AVX2, weights are packed once into the order in which the
/// package's own products read them, in any ``Precision``. Elsewhere 32-bit weights are used as
/// they lie, by OpenBLAS; weights of 16 and 8 bits are kept row by row and widened for it block by
/// block.
public struct PackedWeight: Sendable {
    /// Rows of the weight.
    public let outputs: Int
    /// Columns of the weight.
    public let features: Int
    /// The numbers that the weight is stored in.
    public let precision: Precision
    let form: Form
    /// The weight, where it is tracked.
    let tracked: Tensor?
    /// What is added to the weight without being packed with it. Linear layers take it into
    /// account; convolutions over more than one pixel and `unpacked()` do not.
    public package(set) var updates: [LowRankUpdate] = []

    enum Form: Sendable {
        /// Rows of floats as they come, for OpenBLAS.
        case plain(Tensor)
        /// The same with the features as rows: `[features, outputs]`.
        case transposed(Tensor)
        /// Panels for the products of the precision.
        case panels(Panels)
        /// Rows of 16- or 8-bit numbers, for OpenBLAS after widening.
        case lowPrecision(LowPrecisionRows)
    }

    /// A weight as it comes, `[outputs, features]`. Nothing is packed, so that it may change.
    public init(plain weight: Tensor) {
        precondition(weight.shape.rank == 2, "a weight is [outputs, features], not \(weight.shape)")
        self.init(weight, .float32, .plain(weight))
    }

    /// A weight at a precision, in the form that this processor multiplies fastest.
    ///
    /// - Parameters:
    ///   - weight: `[outputs, features]`.
    ///   - precision: The numbers to store it in.
    public init(_ weight: Tensor, precision: Precision) {
        unsafe self.init(weight, precision: precision, gemm: precision.gemm)
    }

    /// The same for a processor that has these products, or none.
    package init(
        _ weight: Tensor, precision: Precision, gemm: UnsafePointer<wk_gemm>?
    ) {
        precondition(weight.shape.rank == 2, "a weight is [outputs, features], not \(weight.shape)")
        if let gemm = unsafe gemm {
            let panels = unsafe Panels(packing: weight, precision, gemm.pointee)
            self.init(weight, precision, .panels(panels))
        } else if precision == .float32 {
            self.init(plain: weight)
        } else {
            self.init(weight, precision, .lowPrecision(LowPrecisionRows(weight, precision)))
        }
    }

    private init(_ weight: Tensor, _ precision: Precision, _ form: Form) {
        outputs = weight.shape[0]
        features = weight.shape[1]
        self.precision = precision
        self.form = form
        tracked = weight.isTracked ? weight : nil
    }

    private init(_ matrix: PackedWeight, _ form: Form) {
        self.init(matrix.outputs, matrix.features, matrix.precision, form)
    }

    init(_ outputs: Int, _ features: Int, _ precision: Precision, _ form: Form) {
        (self.outputs, self.features) = (outputs, features)
        self.precision = precision
        self.form = form
        tracked = nil
    }

    /// The transpose of a weight `[outputs, features]`, for one product or a few; not for 8 bits.
    init(transposing weight: Tensor, precision: Precision) {
        outputs = weight.shape[1]
        features = weight.shape[0]
        tracked = nil
        if let gemm = unsafe precision.gemm?.pointee, let pack = unsafe gemm.pack_transposed {
            self.precision = precision
            form = unsafe .panels(Panels(packingTransposed: weight, precision, gemm, pack))
        } else {
            self.precision = .float32
            form = .transposed(weight)
        }
    }

    /// A transpose that was read back from panels, packed for one product or a few.
    init(transposed weight: Tensor, precision: Precision, _ gemm: wk_gemm) {
        self.init(
            weight, precision, .panels(Panels(packing: weight, precision, gemm, isLasting: false)))
    }

    /// What the left factor of a product with this matrix must be made of.
    public var operandPrecision: Precision {
        if case .panels(let panels) = form { Precision(panels.gemm.rows) } else { .float32 }
    }

    /// What a layer's results are kept in until this matrix is multiplied with them.
    var keptPrecision: Precision { operandPrecision == .float32 ? .float32 : .bfloat16 }

    /// Whether the weight's own elements are not needed any more.
    package var isCopy: Bool {
        switch form {
        case .plain, .transposed: false
        case .panels, .lowPrecision: true
        }
    }

    var isPacked: Bool { if case .panels = form { true } else { false } }

    /// The matrix with each feature times its factor, or nil where only the rows that it is
    /// multiplied with can be scaled.
    func scaled(by factors: UnsafePointer<Float>) -> PackedWeight? {
        switch form {
        case .plain(let weight):
            var result = Tensor(uninitialized: weight.shape)
            let target = unsafe result.mutablePointer()
            let block = 64
            parallel((outputs + block - 1) / block) { index in
                let place = index * block * features
                unsafe kernels.scale_columns(
                    target + place, features, weight.pointer + place, features,
                    min(block, outputs - index * block), features, factors)
            }
            return PackedWeight(self, .plain(result))
        case .panels(let panels):
            return unsafe panels.scaled(by: factors, outputs, features).map {
                PackedWeight(self, .panels($0))
            }
        case .lowPrecision, .transposed:
            return nil
        }
    }

    /// `c = a · columnsᵀ` (+ c) for some rows `a` and some of the outputs; on the calling thread.
    ///
    /// - Precondition: `columns` begins at a multiple of ``columnUnit`` and, unless it reaches the
    ///   end, leaves more than 16 columns for the next.
    func multiply(
        _ a: OperandRows, rows: Int, columns: Range<Int>, adding: Bool,
        into c: UnsafeMutablePointer<Float>, stride: Int
    ) {
        switch form {
        case .plain(let weight):
            unsafe multiplyTransposed(
                a.floats, stride: a.stride, weight.pointer + columns.lowerBound * features,
                stride: features, rows: rows, columns: columns.count, depth: features,
                adding: adding, into: c, stride: stride)
        case .transposed(let weight):
            unsafe TensorCore.multiply(
                a.floats, stride: a.stride, weight.pointer + columns.lowerBound, stride: outputs,
                rows: rows, columns: columns.count, depth: features, adding: adding, into: c,
                stride: stride)
        case .panels(let panels):
            var left = unsafe a.kernelRows
            var right = unsafe panels.kernelPanels
            unsafe panels.gemm.multiply(
                c, stride, &left, rows, &right, columns.lowerBound, columns.upperBound, outputs,
                adding)
        case .lowPrecision(let weight):
            // A few hundred kilobytes of widened rows at a time.
            let block = max(16, (1 << 16) / max(1, features))
            let wide = Storage<Float>(count: min(block, columns.count) * features)
            for first in Swift.stride(from: columns.lowerBound, to: columns.upperBound, by: block) {
                let count = min(block, columns.upperBound - first)
                unsafe weight.widen(first..<first + count, into: wide.base)
                unsafe multiplyTransposed(
                    a.floats, stride: a.stride, wide.base, stride: features, rows: rows,
                    columns: count, depth: features, adding: adding,
                    into: c + first - columns.lowerBound, stride: stride)
            }
        }
    }

    /// How many columns of a product are computed before they are put through the epilogue: few
    /// enough that they are still in the innermost cache.
    var chunk: Int {
        guard case .panels(let panels) = form else { return .max }
        // A deep product passes over its columns several times; see the kernels' depth block.
        let deep = precision.words(features) > 1536 ? 8 * PackedWeight.columnUnit : 0
        return max(panels.gemm.chunk, deep)
    }

    /// Packed columns are cut at multiples of this.
    static let columnUnit = Int(WK_PANEL)

    /// `columns` in pieces of about `size`, cut where panels begin.
    static func pieces(_ columns: Range<Int>, of size: Int) -> [Range<Int>] {
        guard size < columns.count else { return [columns] }
        // A piece of one vector at the end would lie in the midst of the last two panels.
        let count = max(1, (columns.count - 17) / size + 1)
        return (0..<count).map { piece in
            let first = columns.lowerBound + piece * size
            return first..<(piece == count - 1 ? columns.upperBound : first + size)
        }
    }
}

/// A packed weight; see `wuerstchen_gemm.h` for the layout.
struct Panels: Sendable {
    let gemm: wk_gemm
    let words: Storage<UInt32>
    /// Scales, then sums, of 8-bit columns.
    let scales: Storage<Float>?
    let outputs: Int
    private let features: Int

    init(
        _ gemm: wk_gemm, words: Storage<UInt32>, scales: Storage<Float>?, outputs: Int,
        features: Int
    ) {
        self.gemm = gemm
        self.words = words
        self.scales = scales
        self.outputs = outputs
        self.features = features
    }

    init(
        packing weight: Tensor, _ precision: Precision, _ gemm: wk_gemm, isLasting: Bool = true
    ) {
        let (outputs, features) = (weight.shape[0], weight.shape[1])
        self.init(
            gemm,
            words: Storage(
                count: Panels.columns(outputs) * precision.words(features), isLasting: isLasting),
            scales: precision == .int8
                ? Storage<Float>(count: 2 * outputs, isLasting: isLasting) : nil,
            outputs: outputs,
            features: features)
        let (target, scale) = unsafe (words.base, scales?.base)
        let pieces = PackedWeight.pieces(0..<outputs, of: PackedWeight.columnUnit)
        parallel(pieces.count) { index in
            let piece = pieces[index]
            unsafe gemm.pack(
                target, scale, scale.map { unsafe $0 + outputs },
                unsafe weight.pointer + piece.lowerBound * features, features, piece.lowerBound,
                piece.upperBound, outputs, features)
        }
    }

    /// Panels of the transpose of `weight`.
    init(
        packingTransposed weight: Tensor, _ precision: Precision, _ gemm: wk_gemm,
        _ pack: @escaping PackTransposed
    ) {
        let (depth, columns) = (weight.shape[0], weight.shape[1])
        let words = Storage<UInt32>(count: Panels.columns(columns) * precision.words(depth))
        self.init(
            gemm, words: words, scales: nil, outputs: columns, features: depth)
        let target = unsafe words.base
        let length = precision.words(depth)
        let pieces = PackedWeight.pieces(0..<columns, of: 4 * PackedWeight.columnUnit)
        parallel(pieces.count) { index in
            let piece = pieces[index]
            unsafe pack(
                target + piece.lowerBound * length, weight.pointer + piece.lowerBound, columns,
                piece.count, depth)
        }
    }

    typealias PackTransposed =
        @convention(c) (
            UnsafeMutablePointer<UInt32>, UnsafePointer<Float>, Int, Int, Int
        ) -> Void

    /// Columns in whole vectors.
    static func columns(_ outputs: Int) -> Int { (outputs + 15) / 16 * 16 }

    var kernelPanels: wk_panels {
        unsafe wk_panels(
            words: words.base, depth: features, scale: scales?.base,
            sums: scales.map { unsafe $0.base + outputs })
    }

    func scaled(by factors: UnsafePointer<Float>, _ outputs: Int, _ features: Int) -> Panels? {
        guard let scale = unsafe gemm.scale_panels else { return nil }
        let result = Panels(
            gemm, words: Storage<UInt32>(count: words.count), scales: nil, outputs: outputs,
            features: features)
        let (source, target) = unsafe (words.base, result.words.base)
        let pieces = PackedWeight.pieces(0..<outputs, of: PackedWeight.columnUnit)
        parallel(pieces.count) { index in
            unsafe scale(
                target, source, pieces[index].lowerBound, pieces[index].upperBound, outputs,
                features, factors)
        }
        return result
    }
}

/// A weight of 16 or 8 bits for processors that cannot multiply it.
struct LowPrecisionRows: Sendable {
    enum Rows: Sendable {
        case bfloat16(Storage<UInt16>)
        /// With a scale for each row.
        case int8(Storage<Int8>, scales: Storage<Float>)
    }

    let outputs: Int
    let features: Int
    let rows: Rows

    init(_ outputs: Int, _ features: Int, _ rows: Rows) {
        (self.outputs, self.features) = (outputs, features)
        self.rows = rows
    }

    init(_ weight: Tensor, _ precision: Precision) {
        let (outputs, features) = (weight.shape[0], weight.shape[1])
        (self.outputs, self.features) = (outputs, features)
        if precision == .int8 {
            let numbers = Storage<Int8>(count: outputs * features, isLasting: true)
            let scales = Storage<Float>(count: outputs, isLasting: true)
            parallel(outputs) { row in
                unsafe scales.base[row] = kernels.narrow_int8(
                    numbers.base + row * features, weight.pointer + row * features, features)
            }
            rows = .int8(numbers, scales: scales)
        } else {
            let numbers = Storage<UInt16>(count: outputs * features, isLasting: true)
            parallel(outputs) { row in
                unsafe kernels.narrow_bfloat16(
                    numbers.base + row * features, weight.pointer + row * features, features)
            }
            rows = .bfloat16(numbers)
        }
    }

    /// Some of the rows as floats.
    func widen(_ range: Range<Int>, into target: UnsafeMutablePointer<Float>) {
        switch rows {
        case .bfloat16(let numbers):
            unsafe kernels.widen_bfloat16(
                target, numbers.base + range.lowerBound * features, range.count * features)
        case .int8(let numbers, let scales):
            for row in range {
                unsafe kernels.widen_int8(
                    target + (row - range.lowerBound) * features, numbers.base + row * features,
                    features, scales.base[row])
            }
        }
    }
}
