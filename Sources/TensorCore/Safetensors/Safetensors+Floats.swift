private import CWuerstchenKernels
private import Foundation

extension Safetensors {
    /// A tensor as 32-bit floats.
    ///
    /// 32-bit floats are used where they lie in the mapped file; halves (F16, BF16) are widened,
    /// and F64 is rounded, into memory.
    ///
    /// - Parameters:
    ///   - entry: One of this file's ``entries``.
    ///   - shape: The shape of the result, with as many elements as the entry has.
    /// - Returns: The tensor.
    /// - Throws: ``WuerstchenError`` with the code `incompatibleParameters` if the elements are not
    ///   floats, with `invalidRequest` if the number of elements is another or as
    ///   ``withBytes(of:_:)`` says.
    public func floats(of entry: Entry, as shape: Shape) throws -> Tensor {
        guard shape.count == entry.shape.reduce(1, *) else {
            throw WuerstchenError(
                .invalidRequest,
                "\(url.path): \(Self.quoted(entry.name)) has the shape \(entry.shape), not \(shape)"
            )
        }
        // What is copied is not looked at again.
        let isCopied = entry.elementType != .f32
        let meter = MemoryMeter.current
        if isCopied { meter?.addMapped(entry.byteRange.count, of: file) }
        defer {
            if isCopied {
                meter?.addMapped(-entry.byteRange.count, of: file)
                if meter == nil { file.releasePages(entry.byteRange) }
            }
        }
        return try unsafe withBytes(of: entry) { bytes in
            switch entry.elementType {
            case .f32:
                if let base = bytes.baseAddress, Int(bitPattern: base) % 4 == 0 {
                    return unsafe Tensor(
                        shape, borrowing: base.assumingMemoryBound(to: Float.self), from: file)
                }
                return unsafe Tensor(shape) {
                    unsafe UnsafeMutableRawBufferPointer($0).copyMemory(from: bytes)
                }
            case .f16, .bf16:
                let widen =
                    unsafe entry.elementType == .f16 ? kernels.widen_half : kernels.widen_bfloat16
                return unsafe Tensor(shape) { target in
                    guard let to = target.baseAddress, let base = bytes.baseAddress else { return }
                    // The format promises no alignment, and these loads need none on any
                    // processor that the kernels are compiled for.
                    let from = unsafe base.assumingMemoryBound(to: UInt16.self)
                    forEachChunk(of: target.count) { range in
                        unsafe widen(to + range.lowerBound, from + range.lowerBound, range.count)
                    }
                }
            case .f64:
                return unsafe Tensor(shape) { target in
                    for index in target.indices {
                        unsafe target[index] = Float(
                            bytes.loadUnaligned(fromByteOffset: 8 * index, as: Double.self))
                    }
                }
            default: throw noFloats(entry)
            }
        }
    }

    /// Refuses a tensor whose elements are not floats, without reading any.
    ///
    /// - Throws: ``WuerstchenError`` with the code `incompatibleParameters`.
    package func requireFloats(_ entry: Entry) throws {
        guard [.f16, .bf16, .f32, .f64].contains(entry.elementType) else { throw noFloats(entry) }
    }

    private func noFloats(_ entry: Entry) -> WuerstchenError {
        WuerstchenError(
            .incompatibleParameters,
            "\(url.path): \(entry.name) is stored as \(entry.elementType.rawValue); parameters "
                + "are F32, F16, BF16 or F64")
    }
}
