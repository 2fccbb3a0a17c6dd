import CWuerstchenKernels
import Foundation
import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Kernels: activations")
struct ActivationKernelTests {
    private func activate(
        _ level: KernelLevel, _ x: [Float], _ kind: wk_activation
    ) throws -> [Float] {
        var y = [Float](repeating: .nan, count: x.count)
        try level.kernels.activate(&y, x, x.count, kind)
        return y
    }

    /// −20 … 20 in steps of 1/512.
    private let grid = (-10240...10240).map { Float($0) / 512 }

    /// The largest error allowed, relative to |x| beyond 1, where half a unit in the last place of
    /// the result is up to 6·10⁻⁸.
    private static let bounds: [Activation: Double] = [
        .identity: 0, .gelu: 8e-8, .quickGELU: 1.6e-7, .silu: 1.6e-7, .leakyReLU: 3e-8,
        .sigmoid: 1e-7,
    ]

    @Test(
        "every activation is exact to a few units in the last place",
        arguments: KernelLevel.available)
    func accuracy(level: KernelLevel) throws {
        for (kind, activation) in activations {
            let worst = zip(grid, try activate(level, grid, kind)).map { x, y in
                abs(Double(y) - Twin.activate(Double(x), activation)) / max(1, abs(Double(x)))
            }.max()
            let bound = ActivationKernelTests.bounds[activation]
            #expect(try #require(worst) <= #require(bound), "\(activation)")
        }
    }

    @Test(
        "the sigmoid has the right first digits in its tail too", arguments: KernelLevel.available)
    func sigmoidTail(level: KernelLevel) throws {
        let x = (0..<860).map { -Float($0) / 10 }
        for (x, y) in zip(x, try activate(level, x, WK_SIGMOID)) {
            let want = Twin.sigmoid(Double(x))
            #expect(abs(Double(y) / want - 1) < 1e-6, "at \(x)")
        }
    }

    @Test("every count of elements", arguments: KernelLevel.available, awkwardWidths)
    func counts(level: KernelLevel, count: Int) throws {
        var numbers = RandomNumbers(seed: count)
        let x = SpacedRows(numbers.floats(count, spread: 4), columns: count)
        for (kind, activation) in activations {
            var y = SpacedRows(rows: 1, columns: count)
            try level.kernels.activate(&y.memory, x.memory, count, kind)
            let want = x.elements.map { Twin.activate(Double($0), activation) }
            expectNear(y.elements, want, largest: 1e-6, "\(activation)")
            #expect(y.gapsAreUntouched)
            var inPlace = x
            try level.kernels.activate(&inPlace.memory, inPlace.memory, count, kind)
            #expect(inPlace.elements == y.elements)
        }
    }

    /// Seventeen copies, so that the value meets whole vectors and the rest.
    private func limit(_ level: KernelLevel, _ x: Float, _ kind: wk_activation) throws -> Float {
        let y = try activate(level, [Float](repeating: x, count: 17), kind)
        for other in y { #expect(other.bitPattern == y[0].bitPattern || other.isNaN && y[0].isNaN) }
        return y[0]
    }

    @Test("far out, activations are what they tend to", arguments: KernelLevel.available)
    func extremes(level: KernelLevel) throws {
        for x: Float in [30, 100, 1e4, 1e10, 1e30] {
            for kind in [WK_GELU, WK_QUICK_GELU, WK_SILU] {
                #expect(try limit(level, x, kind) == x)
                #expect(try abs(limit(level, -x, kind)) < 1e-6, "\(kind) of \(-x)")
            }
            #expect(try limit(level, x, WK_SIGMOID) == 1)
            #expect(try abs(limit(level, -x, WK_SIGMOID)) < 1e-12)
            #expect(try limit(level, x, WK_LEAKY_RELU) == x)
            #expect(try limit(level, -x, WK_LEAKY_RELU) == -x * 0.2)
        }
        #expect(try limit(level, .infinity, WK_SIGMOID) == 1)
        #expect(try abs(limit(level, -.infinity, WK_SIGMOID)) < 1e-12)
        for kind in [WK_IDENTITY, WK_GELU, WK_QUICK_GELU, WK_SILU, WK_LEAKY_RELU] {
            #expect(try limit(level, .infinity, kind) == .infinity)
        }
    }

    @Test("zeros stay zeros", arguments: KernelLevel.available)
    func zeros(level: KernelLevel) throws {
        for (kind, activation) in activations where activation != .sigmoid {
            #expect(try limit(level, 0, kind) == 0)
            #expect(try limit(level, -0.0, kind) == 0)
        }
        #expect(try limit(level, 0, WK_SIGMOID) == 0.5)
        #expect(try limit(level, -0.0, WK_SIGMOID) == 0.5)
    }

    @Test("what is not a number stays so", arguments: KernelLevel.available)
    func notANumber(level: KernelLevel) throws {
        for (kind, activation) in activations {
            #expect(try limit(level, .nan, kind).isNaN, "\(activation)")
            #expect(try limit(level, -.nan, kind).isNaN, "\(activation)")
        }
    }
}
