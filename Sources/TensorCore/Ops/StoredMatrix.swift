package import CWuerstchenKernels
private import Foundation

/// A matrix in a file whose rows are the numbers of a precision already, so that it need not be
/// rounded to be multiplied: `[outputs, features]` of bfloat16, or of 8-bit integers with a scale
/// for each row.
///
/// Rows are the same whatever the processor. Where it multiplies panels, they are put in order as
/// they are read; elsewhere they are used where they lie in the mapped file.
package struct StoredMatrix: Sendable {
    package let outputs: Int
    package let features: Int
    package let precision: Precision
    private let file: Safetensors
    private let entry: Safetensors.Entry
    private let scales: Safetensors.Entry?

    /// What the scales of a matrix are stored as.
    package static func scales(of name: String) -> String { "\(name)#scales" }

    /// A matrix of a file.
    ///
    /// - Parameters:
    ///   - entry: The rows: BF16, or I8 with scales.
    ///   - file: The file that has them.
    ///   - ones: How many lengths of 1 follow those of the matrix, as in the kernels of a
    ///     convolution of one pixel.
    /// - Throws: ``WuerstchenError`` with code `malformedFile` if they are no such matrix.
    package init(
        _ entry: Safetensors.Entry, of file: Safetensors, followedBy ones: Int = 0
    ) throws {
        func refuse(_ what: String) -> WuerstchenError {
            WuerstchenError(
                .malformedFile,
                "\(file.url.path): \(what); the file is damaged or was written by something else, "
                    + "so convert the checkpoint again")
        }
        let name = Safetensors.quoted(entry.name)
        guard entry.shape.count == 2 + ones, entry.shape.dropFirst(2).allSatisfy({ $0 == 1 }),
            !entry.shape.contains(0),
            entry.elementType == .i8 || entry.elementType == .bf16
        else {
            throw refuse(
                "the matrix \(name) is \(entry.elementType.rawValue) \(entry.shape), not rows of "
                    + "I8 or BF16")
        }
        (outputs, features) = (entry.shape[0], entry.shape[1])
        precision = entry.elementType == .i8 ? .int8 : .bfloat16
        (self.file, self.entry) = (file, entry)
        guard precision == .int8 else {
            scales = nil
            return
        }
        let scalesName = Self.scales(of: entry.name)
        guard let scales = file.entries[scalesName] else {
            throw refuse("the matrix \(name) has no scales (\(Safetensors.quoted(scalesName)))")
        }
        guard scales.elementType == .f32, scales.shape == [outputs] else {
            throw refuse(
                "the scales of the matrix \(name) are \(scales.elementType.rawValue) "
                    + "\(scales.shape), not F32 [\(outputs)]")
        }
        self.scales = scales
    }

    /// The rows' scales, in the first part of memory for as many floats as asked for.
    fileprivate func readScales(count: Int) throws -> Storage<Float>? {
        guard let scales else { return nil }
        let values = try file.floats(of: scales, as: [outputs])
        let wrong = unsafe values.withUnsafeElements { scales in
            unsafe scales.firstIndex { !($0 >= 0 && $0.isFinite) }
        }
        if let wrong, !MemoryMeter.isMeasuring {
            throw WuerstchenError(
                .malformedFile,
                "\(file.url.path): the scale of row \(wrong) of \(Safetensors.quoted(entry.name)) "
                    + "is \(values.elements[wrong]), not a number from 0 on; the file is damaged, "
                    + "so convert the checkpoint again")
        }
        let result = Storage<Float>(count: count, isLasting: true)
        if !MemoryMeter.isMeasuring {
            unsafe result.base.update(from: values.pointer, count: outputs)
        }
        values.releasePages()
        return result
    }

    /// The rows where they lie, or a copy where that is no place for such numbers.
    fileprivate func rows() throws -> LowPrecisionRows {
        func borrowed<Element: BitwiseCopyable>(_ type: Element.Type) throws -> Storage<Element> {
            try unsafe file.withBytes(of: entry) { bytes in
                let size = MemoryLayout<Element>.stride
                let count = bytes.count / size
                if let base = bytes.baseAddress, Int(bitPattern: base) % size == 0 {
                    return unsafe Storage(
                        borrowing: base.assumingMemoryBound(to: type), count: count,
                        from: file.file)
                }
                let copy = Storage<Element>(count: count, isLasting: true)
                if let base = bytes.baseAddress, !MemoryMeter.isMeasuring {
                    unsafe UnsafeMutableRawPointer(copy.base)
                        .copyMemory(from: base, byteCount: bytes.count)
                }
                return copy
            }
        }
        guard let scales = try readScales(count: outputs) else {
            return LowPrecisionRows(outputs, features, .bfloat16(try borrowed(UInt16.self)))
        }
        return LowPrecisionRows(
            outputs, features, .int8(try borrowed(Int8.self), scales: scales))
    }

    /// The rows in the order of a processor's products.
    fileprivate func panels(_ gemm: wk_gemm) throws -> Panels? {
        guard let pack = unsafe gemm.pack_rows else { return nil }
        let panels = Panels(
            gemm,
            words: Storage(
                count: Panels.columns(outputs) * precision.words(features), isLasting: true),
            scales: try readScales(count: 2 * outputs), outputs: outputs, features: features)
        let (target, scale) = unsafe (panels.words.base, panels.scales?.base)
        let length = features * (precision == .int8 ? 1 : 2)
        try unsafe file.reading(entry) { bytes in
            guard let rows = bytes.baseAddress else { return }
            let pieces = PackedWeight.pieces(0..<outputs, of: PackedWeight.columnUnit)
            parallel(pieces.count) { index in
                let piece = pieces[index]
                unsafe pack(
                    target, scale, scale.map { unsafe $0 + outputs },
                    rows + piece.lowerBound * length, piece.lowerBound, piece.upperBound, outputs,
                    features)
            }
        }
        return panels
    }

    /// What the numbers stand for, in 32 bits.
    ///
    /// - Returns: `[outputs, features]`.
    /// - Throws: As ``PackedWeight/init(_:precision:)-(StoredMatrix,_)``.
    package func widened() throws -> Tensor {
        let result = try rows().widened()
        file.release(entry)
        return result
    }
}

extension PackedWeight {
    /// A stored matrix in the form that this processor multiplies fastest: in its own precision as
    /// it is, and in another what its numbers stand for.
    ///
    /// - Throws: ``WuerstchenError`` with code `malformedFile` for a scale that is no number.
    package init(_ matrix: StoredMatrix, precision: Precision) throws {
        unsafe try self.init(matrix, precision: precision, gemm: precision.gemm)
    }

    /// The same for a processor that has these products, or none.
    package init(
        _ matrix: StoredMatrix, precision: Precision, gemm: UnsafePointer<wk_gemm>?
    ) throws {
        guard precision == matrix.precision else {
            unsafe self.init(try matrix.widened(), precision: precision, gemm: gemm)
            return
        }
        let form: Form
        if let gemm = unsafe gemm, let panels = try unsafe matrix.panels(gemm.pointee) {
            form = .panels(panels)
        } else {
            form = .lowPrecision(try matrix.rows())
        }
        self.init(matrix.outputs, matrix.features, precision, form)
    }
}

extension Safetensors {
    /// Calls a closure with the bytes of a tensor that is not looked at again soon.
    package func reading(
        _ entry: Entry, _ body: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        MemoryMeter.current?.addMapped(entry.byteRange.count, of: file)
        defer { release(entry) }
        try unsafe withBytes(of: entry, body)
    }

    /// Says that a tensor is not needed where it lies.
    fileprivate func release(_ entry: Entry) {
        if let meter = MemoryMeter.current {
            meter.addMapped(-entry.byteRange.count, of: file)
        } else {
            file.releasePages(entry.byteRange)
        }
    }
}

/// A matrix rounded to 8-bit rows as ``PackedWeight`` rounds it, to be written to a file.
package struct QuantizedMatrix: Sendable {
    private let rows: LowPrecisionRows

    /// `[outputs, features]`, rounded.
    package init(_ weight: Tensor) {
        rows = LowPrecisionRows(weight, .int8)
    }

    /// What the rounded numbers stand for, `[outputs, features]`.
    package func widened() -> Tensor { rows.widened() }

    /// The rows and their scales as a ``StoredMatrix`` of a name has them.
    package func sources(_ name: String) -> [Safetensors.Source] {
        guard case .int8(let numbers, let scales) = rows.rows else { return [] }
        return [
            source(name, .i8, [rows.outputs, rows.features], numbers),
            source(StoredMatrix.scales(of: name), .f32, [rows.outputs], scales),
        ]
    }

    private func source<Element: BitwiseCopyable>(
        _ name: String, _ type: Safetensors.ElementType, _ shape: [Int], _ values: Storage<Element>
    ) -> Safetensors.Source {
        unsafe Safetensors.Source(name: name, elementType: type, shape: shape) { write in
            try unsafe write(
                UnsafeRawBufferPointer(
                    UnsafeBufferPointer(start: values.base, count: values.count)))
            withExtendedLifetime(values) {}
        }
    }
}
