private import Foundation

extension Twin {
    /// The bits of the nearest bfloat16, of two equally near the even one: eight significant bits
    /// and the exponents of a float.
    package static func bfloat16(_ x: Float) -> UInt16 {
        if x.isNaN { return 0x7fc0 }
        guard x.isFinite, x != 0 else { return UInt16(x.bitPattern >> 16) }
        let unit = pow(2, Double(max(x.exponent, -126) - 7))
        let rounded = (Double(x) / unit).rounded(.toNearestOrEven) * unit
        return UInt16(Float(rounded).bitPattern >> 16)
    }

    /// The value of a bfloat16.
    package static func value(ofBFloat16 bits: UInt16) -> Float {
        Float(bitPattern: UInt32(bits) << 16)
    }
}
