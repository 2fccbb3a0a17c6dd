package import CWuerstchenKernels
private import Foundation

/// The instruction levels that the kernels of this package are compiled for.
public enum KernelLevel: String, Sendable, CaseIterable {
    /// What every processor of the architecture has.
    case portable
    /// AVX2 with fused multiply-add.
    case avx2
    /// AVX-512 (F, BW, DQ and VL).
    case avx512
    /// AVX-512, and products of bfloat16 and of 8 bits by AMX's tiles.
    case amx

    /// The level in use: the best that this processor has, unless the environment variable
    /// `WUERSTCHEN_KERNELS` names a lower one when the first tensor is computed.
    public static let active: KernelLevel = {
        let asked = ProcessInfo.processInfo.environment["WUERSTCHEN_KERNELS"]
        if let asked, let level = KernelLevel(rawValue: asked), level.isAvailable { return level }
        return allCases.last { $0.isAvailable } ?? .portable
    }()

    /// Whether this processor has the level's instructions.
    public var isAvailable: Bool { unsafe table != nil }

    package var table: UnsafePointer<wk_kernels>? { unsafe wk_kernels_at(kernelLevel) }

    package var kernelLevel: wk_level {
        switch self {
        case .portable: WK_PORTABLE
        case .avx2: WK_AVX2
        case .avx512: WK_AVX512
        case .amx: WK_AMX
        }
    }
}

/// The kernels of the active level.
let kernels: wk_kernels = {
    guard let table = unsafe KernelLevel.active.table else {
        preconditionFailure("every processor has the portable kernels")
    }
    return unsafe table.pointee
}()
