import CWuerstchenKernels
import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Kernels: element by element")
struct ElementKernelTests {
    @Test("combine and scale_shift", arguments: KernelLevel.available, awkwardWidths)
    func arithmetic(level: KernelLevel, count: Int) throws {
        var numbers = RandomNumbers(seed: count)
        let (a, b) = (numbers.floats(count), numbers.floats(count))
        let kernels = try level.kernels
        func check(
            _ run: (inout [Float]) -> Void, _ body: (Double, Double) -> Double,
            sourceLocation: SourceLocation = #_sourceLocation
        ) {
            var y = SpacedRows(rows: 1, columns: count)
            run(&y.memory)
            let want = zip(a, b).map { body(Double($0), Double($1)) }
            expectNear(y.elements, want, largest: 4e-7, sourceLocation: sourceLocation)
            #expect(y.gapsAreUntouched, sourceLocation: sourceLocation)
        }
        check({ kernels.combine(&$0, 1.5, a, -0.25, b, count) }, { 1.5 * $0 - 0.25 * $1 })
        check({ kernels.scale_shift(&$0, a, -2, 0.5, count) }, { a, _ in -2 * a + 0.5 })
    }

    @Test("combine may write over what it reads", arguments: KernelLevel.available)
    func inPlace(level: KernelLevel) throws {
        var a = (0..<37).map { Float($0) }
        let b = a
        try level.kernels.combine(&a, 1, a, 2, b, 37)
        #expect(a == b.map { 3 * $0 })
    }

    @Test(
        "all_finite finds what is not finite in every place", arguments: KernelLevel.available,
        awkwardWidths)
    func allFinite(level: KernelLevel, count: Int) throws {
        let healthy: [Float] = (0..<count).map {
            [-.greatestFiniteMagnitude, 0, .leastNonzeroMagnitude, 1, .greatestFiniteMagnitude][
                $0 % 5]
        }
        // Behind the last element lies something that is not finite.
        var x = healthy + [.nan]
        #expect(try level.kernels.all_finite(x, count))
        for place in 0..<count {
            for value: Float in [.infinity, -.infinity, .nan, -.nan, .signalingNaN] {
                x[place] = value
                #expect(try !level.kernels.all_finite(x, count), "\(value) at \(place)")
            }
            x[place] = healthy[place]
        }
        #expect(try level.kernels.all_finite(x, 0))
    }
}
