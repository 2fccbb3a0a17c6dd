import TensorCore

/// The forms in which a weight is multiplied. Where the processor has no packed products, they are
/// what takes their place.
enum PackedWeightForm: String, Sendable, CaseIterable {
    case plain, float32, bfloat16, int8, widenedBFloat16, widenedInt8

    var precision: Precision {
        switch self {
        case .plain, .float32: .float32
        case .bfloat16, .widenedBFloat16: .bfloat16
        case .int8, .widenedInt8: .int8
        }
    }

    func callAsFunction(_ weight: Tensor) -> PackedWeight {
        switch self {
        case .plain: PackedWeight(plain: weight)
        case .float32, .bfloat16, .int8: PackedWeight(weight, precision: precision)
        case .widenedBFloat16, .widenedInt8: PackedWeight(weight, precision: precision, gemm: nil)
        }
    }

    /// The relative squared error of results that is allowed if so much is at 32 bits. Eight
    /// significant bits of both factors are good for 55 dB, and 8 bits for 45 dB, if numbers are
    /// uniform; of few numbers some happen to be worse.
    func bound(_ exact: Double) -> Double {
        switch precision {
        case .float32: exact
        case .bfloat16: 2e-5
        case .int8: 4e-4
        }
    }
}

/// Leaves memory for reuse that is not a number anywhere, so that what is read before it is written
/// shows.
func poisonIdleMemory() {
    for size in [1 << 7, 1 << 8, 1 << 9, 1 << 10, 1 << 12] {
        let several = (0..<6).map { _ in Tensor(repeating: .nan, [size]) }
        withExtendedLifetime(several) {}
    }
}
