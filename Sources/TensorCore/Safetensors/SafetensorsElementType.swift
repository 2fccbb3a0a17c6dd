extension Safetensors {
    /// The type of a tensor's elements; the raw value is its name in the file.
    ///
    /// The format's types of less than a byte (F4, F6_E2M3 and F6_E3M2) are not among them: files
    /// that use them are refused.
    public enum ElementType: String, Sendable, Hashable, CaseIterable {
        /// One byte, 0 or 1.
        case bool = "BOOL"
        /// An unsigned integer of 8 bits.
        case u8 = "U8"
        /// A signed integer of 8 bits.
        case i8 = "I8"
        /// A float of 8 bits, 5 of them exponent.
        case f8E5M2 = "F8_E5M2"
        /// A float of 8 bits, 4 of them exponent, without infinities.
        case f8E4M3 = "F8_E4M3"
        /// A scale of 8 bits, all of them exponent.
        case f8E8M0 = "F8_E8M0"
        /// A float of 8 bits, 5 of them exponent, without infinities and negative zero.
        case f8E5M2FNUZ = "F8_E5M2FNUZ"
        /// A float of 8 bits, 4 of them exponent, without infinities and negative zero.
        case f8E4M3FNUZ = "F8_E4M3FNUZ"
        /// A signed integer of 16 bits.
        case i16 = "I16"
        /// An unsigned integer of 16 bits.
        case u16 = "U16"
        /// A float of half precision.
        case f16 = "F16"
        /// The upper half of a float of single precision.
        case bf16 = "BF16"
        /// A signed integer of 32 bits.
        case i32 = "I32"
        /// An unsigned integer of 32 bits.
        case u32 = "U32"
        /// A float of single precision.
        case f32 = "F32"
        /// A complex number of two floats of single precision.
        case c64 = "C64"
        /// A float of double precision.
        case f64 = "F64"
        /// A signed integer of 64 bits.
        case i64 = "I64"
        /// An unsigned integer of 64 bits.
        case u64 = "U64"

        /// The bytes one element takes.
        public var byteCount: Int {
            switch self {
            case .bool, .u8, .i8, .f8E5M2, .f8E4M3, .f8E8M0, .f8E5M2FNUZ, .f8E4M3FNUZ: 1
            case .i16, .u16, .f16, .bf16: 2
            case .i32, .u32, .f32: 4
            case .c64, .f64, .i64, .u64: 8
            }
        }

        /// The bytes a tensor of this type and shape takes, or nil if they cannot be counted.
        ///
        /// Dimensions of zero do not excuse the others from being countable, so that whoever
        /// computes strides from an accepted shape cannot overflow.
        func byteCount(shape: [Int]) -> Int? {
            var extent = byteCount
            for dimension in shape {
                guard dimension >= 0 else { return nil }
                let (product, overflow) = extent.multipliedReportingOverflow(by: max(dimension, 1))
                guard !overflow else { return nil }
                extent = product
            }
            return shape.contains(0) ? 0 : extent
        }
    }
}
