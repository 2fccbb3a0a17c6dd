import Foundation
import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("PyTorch's random numbers")
struct TorchGeneratorTests {
    /// torch.manual_seed(0); torch.randn(n) for 16 and more.
    @Test("seed 0, in blocks of sixteen", arguments: [16, 17, 31, 32, 1000])
    func blocks(count: Int) {
        var generator = TorchGenerator(seed: 0)
        let got = generator.normal(count)
        #expect(got.count == count)
        // An incomplete last block overwrites what lies in the last sixteen places.
        let known = [-1.1258398, -1.1523602, -0.2505786, -0.4338788]
        let kept = count % 16 == 0 ? 4 : min(4, count - 16)
        expectNear(Array(got.prefix(kept)), Array(known.prefix(kept)), largest: 1e-6)
    }

    /// Box and Muller's numbers from the first eight and the last eight of sixteen uniforms.
    private func transformed(_ uniforms: ArraySlice<Float>) -> [Double] {
        let numbers = uniforms.map(Double.init)
        let radii = numbers.prefix(8).map { (-2 * log(1 - $0)).squareRoot() }
        let angles = numbers.suffix(8).map { 2 * Double.pi * $0 }
        return zip(radii, angles).map { $0 * cos($1) } + zip(radii, angles).map { $0 * sin($1) }
    }

    @Test("an incomplete last block takes sixteen new uniforms", arguments: [17, 24, 31, 33])
    func incompleteBlock(count: Int) {
        var generator = TorchGenerator(seed: 7)
        var uniform = TorchGenerator(seed: 7)
        let uniforms = uniform.uniform(count + 16)
        var want = stride(from: 0, through: count - 16, by: 16).flatMap {
            transformed(uniforms[$0..<$0 + 16])
        }
        want = want.prefix(count - 16) + transformed(uniforms.suffix(16))
        expectNear(generator.normal(count), want, largest: 1e-6)
        #expect(generator.uniform(5) == uniform.uniform(5))
    }

    /// torch.manual_seed(3); torch.randn(5)
    @Test("seed 3, one by one")
    func scalars() {
        var generator = TorchGenerator(seed: 3)
        let got = generator.normal(5)
        expectNear(
            Array(got.prefix(4)), [0.8032761, 0.1748334, 0.0889781, -0.6137180], largest: 1e-6)
        // The fifth leaves the second of its pair to the next call.
        var split = TorchGenerator(seed: 3)
        #expect(split.normal(2) + split.normal(3) == got)
        #expect(split.normal(1) == generator.normal(1))
    }

    @Test("only the low 32 bits of a seed count")
    func seeds() {
        var low = TorchGenerator(seed: 5)
        var high = TorchGenerator(seed: 5 | 7 << 32)
        var other = TorchGenerator(seed: 6)
        let numbers = low.normal(20)
        #expect(high.normal(20) == numbers)
        #expect(other.normal(20) != numbers)
    }

    @Test("a copy goes on by itself")
    func copies() {
        var generator = TorchGenerator(seed: 1)
        _ = generator.uniform(700)
        var copy = generator
        #expect(copy.normal(33) == generator.normal(33))
        #expect(copy.uniform(3) == generator.uniform(3))
    }

    @Test("uniform numbers are in 0..<1 with mean ½, normal ones have mean 0 and variance 1")
    func moments() {
        var generator = TorchGenerator(seed: 42)
        let uniform = generator.uniform(20_000)
        #expect(uniform.allSatisfy { (0..<1).contains($0) })
        #expect(abs(uniform.reduce(0, +) / 20_000 - 0.5) < 0.01)
        let normal = generator.normal(20_000)
        #expect(abs(normal.reduce(0, +) / 20_000) < 0.03)
        #expect(abs(normal.reduce(0) { $0 + $1 * $1 } / 20_000 - 1) < 0.05)
        #expect(generator.normal(0).isEmpty && generator.uniform(0).isEmpty)
    }
}
