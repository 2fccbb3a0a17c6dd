import CWuerstchenKernels
import TensorCore
import Testing

@Suite("Kernels: levels")
struct KernelLevelTests {
    @Test("the portable level is there, and each level bears its name")
    func names() throws {
        #expect(KernelLevel.portable.isAvailable)
        let names: [KernelLevel: String] = [
            .portable: "portable", .avx2: "AVX2", .avx512: "AVX-512", .amx: "AVX-512",
        ]
        for level in KernelLevel.available {
            #expect(try String(cString: level.kernels.name) == names[level])
        }
    }

    @Test("the level in use is one that the processor has")
    func active() {
        #expect(KernelLevel.active.isAvailable)
    }

    @Test("each precision says what multiplies it, and whether that saves time")
    func multipliers() {
        for precision in Precision.allCases {
            #expect(precision.multiplier.hasPrefix("\(precision.rawValue) by "))
            #expect(precision.multiplier.hasSuffix("widening") == !precision.isAccelerated)
        }
    }

    @Test("a level is named in the environment by its raw value")
    func rawValues() {
        #expect(KernelLevel.allCases.map(\.rawValue) == ["portable", "avx2", "avx512", "amx"])
    }
}
