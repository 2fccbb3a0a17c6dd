import CWuerstchenKernels
import Foundation
import TensorCore
import Testing

@Suite("Kernels: other number formats")
struct ConversionKernelTests {
    /// The value of a half after the definition of the format, nil for what is not a number.
    private func value(ofHalf bits: UInt16) -> Double? {
        let fraction = Double(bits & 0x3ff)
        let sign: Double = bits >> 15 == 0 ? 1 : -1
        switch Int(bits >> 10 & 0x1f) {
        case 0: return sign * fraction * 0x1p-24
        case 31: return fraction == 0 ? sign * .infinity : nil
        case let exponent: return sign * (1 + fraction / 1024) * pow(2, Double(exponent - 15))
        }
    }

    @Test("every half is widened exactly", arguments: KernelLevel.available)
    func half(level: KernelLevel) throws {
        let all = (0...UInt16.max).map { $0 }
        var y = [Float](repeating: 1, count: all.count)
        try level.kernels.widen_half(&y, all, all.count)
        let wrong = all.filter { bits in
            let got = y[Int(bits)]
            guard let want = value(ofHalf: bits) else { return !got.isNaN }
            return Double(got) != want || (got.sign == .minus) != (bits >> 15 == 1)
        }
        #expect(wrong.isEmpty)
    }

    @Test("every bfloat16 is the upper half of a float", arguments: KernelLevel.available)
    func brainFloat(level: KernelLevel) throws {
        let all = (0...UInt16.max).map { $0 }
        var y = [Float](repeating: 1, count: all.count)
        try level.kernels.widen_bfloat16(&y, all, all.count)
        #expect(zip(all, y).allSatisfy { $1.bitPattern == UInt32($0) << 16 })
    }

    @Test("odd counts and odd addresses", arguments: KernelLevel.available, awkwardWidths)
    func counts(level: KernelLevel, count: Int) throws {
        let x = (0..<count + 1).map { UInt16($0) << 7 | 0x2000 }
        let kernels = try level.kernels
        for (widen, want) in [
            (kernels.widen_half, { Float(self.value(ofHalf: $0) ?? .nan) }),
            (kernels.widen_bfloat16, { Float(bitPattern: UInt32($0) << 16) }),
        ]
            as [(
                @convention(c) (UnsafeMutablePointer<Float>, UnsafePointer<UInt16>, Int) -> Void,
                (UInt16) -> Float
            )]
        {
            var y = [Float](repeating: 7, count: count + 1)
            x.withUnsafeBufferPointer { x in
                if let base = x.baseAddress { widen(&y, base + 1, count) }
            }
            #expect(y == x.dropFirst().map(want) + [7])
        }
    }

    @Test("bytes are clamped and rounded, ties to even", arguments: KernelLevel.available)
    func bytes(level: KernelLevel) throws {
        var x: [Float] = [.nan, -.nan, -.infinity, -1e30, -1, -0.0, 0, 1, 1.0001, 1e30, .infinity]
        var want: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]
        // Those halves of a step whose product with 255 is exactly a half in floats.
        for byte in 0..<255 {
            let tie = (Float(byte) + 0.5) / 255
            guard tie * 255 == Float(byte) + 0.5 else { continue }
            x.append(tie)
            want.append(UInt8(byte.isMultiple(of: 2) ? byte : byte + 1))
        }
        #expect(x.count > 100, "there are ties to be tested")
        for step in 0...4096 {
            x.append(Float(step) / 4096)
            want.append(UInt8((Float(step) / 4096 * 255).rounded(.toNearestOrEven)))
        }
        var y = [UInt8](repeating: 77, count: x.count + 1)
        try level.kernels.to_bytes(&y, x, x.count)
        #expect(Array(y.dropLast()) == want)
        #expect(y.last == 77)
    }
}
