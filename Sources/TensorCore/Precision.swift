package import CWuerstchenKernels

/// The numbers that the large matrices of a network are stored in and multiplied with, chosen when
/// the network is loaded. Sums, residual streams and norms are 32-bit floats whatever the
/// precision.
public enum Precision: String, Sendable, CaseIterable, Codable {
    /// 32-bit floats.
    case float32
    /// bfloat16: half the memory, twice the rate, eight significant bits.
    case bfloat16
    /// 8-bit integers with a scale for each output channel; activations are quantised row by row,
    /// as they come, with a scale and an offset for each. A quarter of the memory, four times the
    /// rate. Attention multiplies bfloat16.
    case int8

    /// Whether this processor multiplies such numbers at their full rate. Where it does not,
    /// weights of 16 or 8 bits take their small memory all the same, and are widened to 32 bits,
    /// block by block, when they are multiplied.
    public var isAccelerated: Bool { unsafe self == .float32 || gemm != nil }

    /// The package's own products in this precision, if processor and kernel level have them.
    package var gemm: UnsafePointer<wk_gemm>? {
        unsafe wk_gemm_at(KernelLevel.active.kernelLevel, format)
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
