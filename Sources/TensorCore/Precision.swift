package import CWuerstchenKernels

/// The numbers that the large matrices of a network are stored in and multiplied with, chosen when
/// the network is loaded. Sums, residual streams and norms are 32-bit floats whatever the
/// precision.
public enum Precision: String, Sendable, CaseIterable, Codable {
    /// 32-bit floats.
    case float32
    /// bfloat16: half the memory, eight significant bits; with AVX-512's instructions for it twice
    /// the rate, with AMX's sixteen times.
    case bfloat16
    /// 8-bit integers with a scale for each output channel; activations are quantised row by row,
    /// as they come, with a scale and an offset for each. A quarter of the memory, four times the
    /// rate, with AMX thirty-two times. Attention multiplies bfloat16 where that is faster than
    /// 32-bit floats.
    case int8

    /// Whether this processor multiplies such numbers faster than 32-bit floats. Where it does
    /// not, weights of 16 or 8 bits take their small memory all the same, and are widened to 32
    /// bits, block by block, when they are multiplied.
    public var isAccelerated: Bool {
        guard self != .float32 else { return true }
        return unsafe gemm?.pointee.rate ?? 0 > 1
    }

    /// What multiplies weights of this precision here, such as "int8 by vpdpbusd".
    public var multiplier: String {
        guard let gemm = unsafe gemm else {
            return "\(rawValue) by OpenBLAS\(self == .float32 ? "" : " after widening")"
        }
        let instruction =
            switch unsafe gemm.pointee.instruction {
            case WK_VDPBF16PS: "vdpbf16ps"
            case WK_VPDPBUSD: "vpdpbusd"
            case WK_VPMADDWD: "vpmaddwd"
            case WK_TDPBF16PS: "tdpbf16ps"
            case WK_TDPBUSD: "tdpbusd"
            default: "vfmadd"
            }
        return "\(rawValue) by \(instruction)\(isAccelerated ? "" : " after widening")"
    }

    /// The package's own products in this precision, if processor and kernel level have them.
    package var gemm: UnsafePointer<wk_gemm>? {
        unsafe wk_gemm_at(KernelLevel.active.kernelLevel, format)
    }

    package init(_ format: wk_format) {
        switch format {
        case WK_BFLOAT16: self = .bfloat16
        case WK_INT8: self = .int8
        default: self = .float32
        }
    }

    package var format: wk_format {
        switch self {
        case .float32: WK_FLOAT32
        case .bfloat16: WK_BFLOAT16
        case .int8: WK_INT8
        }
    }

    /// Features in a 32-bit word.
    package var featuresInWord: Int {
        switch self {
        case .float32: 1
        case .bfloat16: 2
        case .int8: 4
        }
    }

    /// The 32-bit words of a row of features.
    package func words(_ features: Int) -> Int {
        (features + featuresInWord - 1) / featuresInWord
    }
}
