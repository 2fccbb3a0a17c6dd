extension Safetensors {
    /// The elements of a tensor of integers.
    ///
    /// - Parameter entry: One of this file's ``entries``.
    /// - Returns: The elements in row-major order.
    /// - Throws: As ``withBytes(of:_:)`` and ``integers(_:as:)``.
    public func integers(of entry: Entry) throws -> [Int64] {
        try unsafe withBytes(of: entry) { try unsafe Self.integers($0, as: entry.elementType) }
    }

    /// Widens little-endian integers to 64 bits; a truth value becomes 1 for any byte but zero.
    ///
    /// - Parameters:
    ///   - bytes: The elements, which need not be aligned.
    ///   - elementType: One of the integer types or `bool`.
    /// - Returns: The elements in the order they had.
    /// - Throws: ``WuerstchenError`` with the code `invalidRequest` if the type is not one of
    ///   integers, if the bytes are not a whole number of elements, or if an unsigned element is
    ///   larger than `Int64.max`.
    public static func integers(
        _ bytes: UnsafeRawBufferPointer, as elementType: ElementType
    ) throws -> [Int64] {
        switch elementType {
        case .bool: return unsafe bytes.map { $0 == 0 ? 0 : 1 }
        case .u8: return try unsafe widen(bytes, UInt8.self)
        case .i8: return try unsafe widen(bytes, Int8.self)
        case .u16: return try unsafe widen(bytes, UInt16.self)
        case .i16: return try unsafe widen(bytes, Int16.self)
        case .u32: return try unsafe widen(bytes, UInt32.self)
        case .i32: return try unsafe widen(bytes, Int32.self)
        case .u64: return try unsafe widen(bytes, UInt64.self)
        case .i64: return try unsafe widen(bytes, Int64.self)
        default:
            throw WuerstchenError(
                .invalidRequest,
                "elements of type \(elementType.rawValue) are not integers; widen them as floats")
        }
    }

    private static func widen<Element: FixedWidthInteger & BitwiseCopyable>(
        _ bytes: UnsafeRawBufferPointer, _: Element.Type
    ) throws -> [Int64] {
        let size = MemoryLayout<Element>.size
        guard bytes.count.isMultiple(of: size) else {
            throw WuerstchenError(
                .invalidRequest,
                "\(bytes.count) bytes are not a whole number of elements of \(size) bytes")
        }
        return try stride(from: 0, to: bytes.count, by: size).map { offset in
            let stored = unsafe bytes.loadUnaligned(fromByteOffset: offset, as: Element.self)
            guard let value = Int64(exactly: Element(littleEndian: stored)) else {
                throw WuerstchenError(
                    .invalidRequest,
                    "element \(offset / size) is larger than \(Int64.max); read it as unsigned")
            }
            return value
        }
    }
}
