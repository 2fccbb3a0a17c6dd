internal import CWuerstchenKernels

/// Rows of features as the left factor of products: floats, or what floats were converted to for a
/// ``PackedWeight`` of lower precision. Prepared once, it serves any number of products.
public struct Operand: Sendable {
    /// As the tensor that it stands for, `[samples, …, features]`.
    public let shape: Shape
    let elements: Elements
    /// What the operand was computed by, where that is recorded. Its gradient is a tensor.
    var edge: GradientEdge?

    enum Elements: Sendable {
        case float32(Tensor)
        /// Rows of whole 32-bit words, each filled up with zeros.
        case bfloat16(Storage<UInt16>)
        /// Rows of whole 32-bit words; each row's scale, then each row's offset.
        case int8(Storage<UInt8>, scales: Storage<Float>)
    }

    /// A tensor as it is.
    public init(_ tensor: Tensor) {
        shape = tensor.shape
        elements = .float32(tensor)
        edge = tensor.edge
    }

    init(_ shape: Shape, _ elements: Elements) {
        self.shape = shape
        self.elements = elements
    }

    /// Room for rows of a precision.
    init(uninitialized shape: Shape, _ precision: Precision) {
        self.shape = shape
        let rows = shape.count / max(1, shape.channels)
        switch precision {
        case .float32: elements = .float32(Tensor(uninitialized: shape))
        case .bfloat16: elements = .bfloat16(Storage(rows: rows, of: shape.channels))
        case .int8:
            elements = .int8(
                Storage(rows: rows, of: shape.channels), scales: Storage(count: 2 * rows))
        }
    }

    var precision: Precision {
        switch elements {
        case .float32: .float32
        case .bfloat16: .bfloat16
        case .int8: .int8
        }
    }

    /// The tensor, if the rows are floats.
    package var floats: Tensor? { if case .float32(let tensor) = elements { tensor } else { nil } }

    /// Rows of all samples.
    var rowCount: Int { shape.count / max(1, shape.channels) }

    /// Rows of one sample.
    var rowsInSample: Int { shape.count(of: 1..<shape.rank - 1) }

    /// Where the rows from `row` on lie.
    func rows(from row: Int) -> OperandRows {
        let stride = precision.words(shape.channels)
        switch elements {
        case .float32(let tensor):
            return unsafe OperandRows(tensor.pointer + row * stride, stride: stride)
        case .bfloat16(let numbers):
            return unsafe OperandRows(
                numbers.base + 2 * row * stride, stride: stride, scales: nil, offsets: nil)
        case .int8(let numbers, let scales):
            return unsafe OperandRows(
                numbers.base + 4 * row * stride, stride: stride, scales: scales.base + row,
                offsets: scales.base + rowCount + row)
        }
    }

    /// The same as where results go: floats or bfloat16.
    var target: LayerTarget { rows(from: 0).target(precision) }

    /// Lets `compute` write some rows as floats, and converts them while they are in the cache.
    func writeRows(from row: Int, count: Int, _ compute: (UnsafeMutablePointer<Float>) -> Void) {
        let place = rows(from: row)
        guard precision != .float32 else { return unsafe compute(place.floats) }
        let scratch = OperandScratch(rows: count, features: shape.channels, .float32)
        unsafe compute(scratch.rows.floats)
        unsafe scratch.rows.convert(
            from: .float32, count: count, features: shape.channels, to: precision, place)
        withExtendedLifetime(scratch) {}
    }

    /// This operand in another precision, each feature times its sample's factor.
    ///
    /// - Parameters:
    ///   - precision: What the matrix takes that the operand will be multiplied with.
    ///   - factors: `[samples, features]`, or nil for none.
    /// - Returns: An operand of the same shape.
    package func converted(to precision: Precision, factors: Tensor? = nil) -> Operand {
        if factors == nil, precision == self.precision { return self }
        let result = Operand(uninitialized: shape, precision)
        let (rows, features) = (rowsInSample, shape.channels)
        let block = max(1, (1 << 15) / max(1, features))
        let blocks = (rows + block - 1) / block
        parallel((shape.rank > 0 ? shape[0] : 0) * blocks) { index in
            let sample = index / blocks
            let first = index % blocks * block
            let row = sample * rows + first
            unsafe self.rows(from: row).convert(
                from: self.precision, count: min(block, rows - first), features: features,
                factors: factors.map { unsafe $0.pointer + sample * features }, to: precision,
                result.rows(from: row))
        }
        return result
    }
}

/// A place in an operand, or in scratch memory that is laid out like one.
///
/// `@safe` to hold; what reads or writes there is marked, and its caller keeps the memory alive.
@safe
struct OperandRows {
    /// What the memory is bound to follows from the precision.
    let start: UnsafeMutableRawPointer
    /// 32-bit words between rows.
    let stride: Int
    let scales: UnsafeMutablePointer<Float>?
    let offsets: UnsafeMutablePointer<Float>?

    init(
        _ start: UnsafeMutableRawPointer, stride: Int, scales: UnsafeMutablePointer<Float>?,
        offsets: UnsafeMutablePointer<Float>?
    ) {
        unsafe self.start = start
        self.stride = stride
        unsafe self.scales = scales
        unsafe self.offsets = offsets
    }

    init(_ floats: UnsafePointer<Float>, stride: Int) {
        unsafe self.init(
            UnsafeMutableRawPointer(mutating: floats), stride: stride, scales: nil, offsets: nil)
    }

    /// The elements of an operand of 32-bit floats.
    var floats: UnsafeMutablePointer<Float> { unsafe start.assumingMemoryBound(to: Float.self) }

    /// The rows as where results go: floats or bfloat16.
    func target(_ precision: Precision) -> LayerTarget {
        unsafe precision == .float32
            ? .floats(floats)
            : .bfloat16(bfloat16Words)
    }

    var kernelRows: wk_rows {
        unsafe wk_rows(words: start, ld: stride, step: 1, scale: scales, offset: offsets)
    }

    /// Writes these rows to `target` in another precision, each feature times its factor.
    @unsafe
    func convert(
        from: Precision, count: Int, features: Int, factors: UnsafePointer<Float>? = nil,
        to precision: Precision, _ target: OperandRows
    ) {
        if let gemm = unsafe precision.gemm?.pointee {
            switch from {
            case .float32:
                unsafe gemm.convert(
                    target.start, target.stride, target.scales, target.offsets, floats, stride,
                    count, features, factors)
            case .bfloat16:
                unsafe gemm.convert_bfloat16(
                    target.start, target.stride, target.scales, target.offsets, start, stride,
                    count, features, factors)
            case .int8:
                preconditionFailure("8-bit rows are not converted again")
            }
        } else {
            // Other precisions only exist where there are products for them.
            precondition(from == .float32 && precision == .float32, "\(from) to \(precision)")
            if let factors = unsafe factors {
                unsafe kernels.scale_columns(
                    target.floats, target.stride, floats, stride, count, features, factors)
            } else {
                for row in 0..<count {
                    unsafe (target.floats + row * target.stride).update(
                        from: floats + row * stride, count: features)
                }
            }
        }
    }
}

/// Scratch memory for some rows of an operand.
///
/// `@safe`: `start` points into what `memory` owns.
@safe
struct OperandScratch {
    private let precision: Precision
    /// Keeps `start` valid.
    private let memory: AnyObject
    private let start: UnsafeMutableRawPointer
    private let scales: Storage<Float>?
    private let stride: Int
    private let count: Int

    /// Room for rows.
    init(rows: Int, features: Int, _ precision: Precision) {
        switch precision {
        case .float32:
            self.init(Storage<Float>(count: rows * features), rows, features, precision)
        case .bfloat16:
            self.init(Storage<UInt16>(rows: rows, of: features), rows, features, precision)
        case .int8:
            self.init(Storage<UInt8>(rows: rows, of: features), rows, features, precision)
        }
    }

    private init<Element>(
        _ storage: Storage<Element>, _ rows: Int, _ features: Int, _ precision: Precision
    ) {
        self.precision = precision
        unsafe (memory, start) = (storage, UnsafeMutableRawPointer(storage.base))
        scales = precision == .int8 ? Storage(count: 2 * rows) : nil
        stride = precision.words(features)
        count = rows
    }

    /// Floats in scratch memory, converted if the matrix wants other numbers.
    init(_ floats: Storage<Float>, rows: Int, features: Int, for matrix: PackedWeight) {
        self.init(
            OperandScratch(floats, rows, features, .float32), rows: rows, features: features,
            for: matrix)
    }

    /// Rows in scratch memory, converted if the matrix wants other numbers.
    init(_ source: OperandScratch, rows: Int, features: Int, for matrix: PackedWeight) {
        if source.precision == matrix.operandPrecision {
            self = source
        } else {
            self.init(rows: rows, features: features, matrix.operandPrecision)
            unsafe source.rows.convert(
                from: source.precision, count: rows, features: features, to: precision, self.rows)
        }
    }

    /// The rows; the scratch must outlive their use.
    var rows: OperandRows {
        unsafe OperandRows(
            start, stride: stride, scales: scales?.base,
            offsets: scales.map { unsafe $0.base + count })
    }

    /// The same as where results go: floats or bfloat16.
    var target: LayerTarget { rows.target(precision) }
}

extension Storage where Element: FixedWidthInteger {
    /// Room for rows of an operand, each filled up with zeros to a whole 32-bit word.
    fileprivate convenience init(rows: Int, of features: Int) {
        let inWord = 4 / MemoryLayout<Element>.stride
        self.init(count: rows * ((features + inWord - 1) / inWord * inWord))
        if features % inWord != 0 { fill(with: 0) }
    }
}
