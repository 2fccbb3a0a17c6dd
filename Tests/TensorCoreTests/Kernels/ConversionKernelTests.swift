import CWuerstchenKernels
import Foundation
import TensorCore
import Testing
import _WuerstchenTestSupport

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
    func bfloat16(level: KernelLevel) throws {
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

    @Test(
        "to bfloat16, rounded to nearest, ties to even", arguments: KernelLevel.available)
    func toBFloat16(level: KernelLevel) throws {
        var x: [Float] = [
            0, -0.0, .infinity, -.infinity, .nan, -.nan, .signalingNaN, .greatestFiniteMagnitude,
            -.greatestFiniteMagnitude, .leastNonzeroMagnitude, .leastNormalMagnitude,
            Float(bitPattern: 0x7fff_ffff), Float(bitPattern: 0xff80_0001),
        ]
        // Around every tie of one binade and around the largest numbers.
        for upper in (0x3f80...0x4000).map({ UInt32($0) }) + [0x7f7e, 0x7f7f, 0xff7f, 0x0001] {
            for lower: UInt32 in [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff] {
                x.append(Float(bitPattern: upper << 16 | lower))
            }
        }
        var y = [UInt16](repeating: 77, count: x.count + 1)
        try level.kernels.narrow_bfloat16(&y, x, x.count)
        #expect(y.removeLast() == 77)
        #expect(y == x.map(Twin.bfloat16))
    }

    @Test("to bytes and back, with a scale", arguments: KernelLevel.available, awkwardWidths)
    func signedBytes(level: KernelLevel, count: Int) throws {
        var numbers = RandomNumbers(seed: count)
        let kernels = try level.kernels
        for x in [
            numbers.floats(count, spread: 3), numbers.floats(count, spread: 1e-20, centre: -1e-20),
            [Float](repeating: -5, count: count), [Float](repeating: 0, count: count),
        ] {
            var bytes = [Int8](repeating: 77, count: count + 1)
            let scale = kernels.narrow_int8(&bytes, x, count)
            #expect(bytes[count] == 77)
            let largest = x.map { abs($0) }.max() ?? 0
            #expect(scale == largest / 127)
            var back = [Float](repeating: 7, count: count + 1)
            kernels.widen_int8(&back, bytes, count, scale)
            #expect(back.removeLast() == 7)
            // Half a step, and a little for the roundings of the scale.
            expectNear(back, x.map(Double.init), largest: 0.50001 * Double(scale))
            #expect(bytes.dropLast().allSatisfy { $0 >= -127 })
        }
    }

    @Test(
        "a row that is not finite stays so in bytes", arguments: KernelLevel.available,
        [.nan, .infinity, -.infinity] as [Float])
    func brokenBytes(level: KernelLevel, value: Float) throws {
        var x: [Float] = [1, 2, 3, 4, 5]
        x[2] = value
        var bytes = [Int8](repeating: 77, count: 5)
        let scale = try level.kernels.narrow_int8(&bytes, x, 5)
        var back = x
        try level.kernels.widen_int8(&back, bytes, 5, scale)
        #expect(back.allSatisfy { !$0.isFinite })
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
