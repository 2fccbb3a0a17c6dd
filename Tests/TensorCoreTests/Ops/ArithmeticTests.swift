import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Arithmetic")
struct ArithmeticTests {
    /// One piece of work has 65536 elements.
    @Test("element by element", arguments: [0, 1, 17, 65536, 65537, 150_001])
    func elements(count: Int) {
        let a = Tensor.random([count], seed: 1)
        let b = Tensor.random([count], seed: 2)
        let (x, y) = (a.elements, b.elements)
        func check(
            _ got: Tensor, _ body: (Float, Float) -> Float,
            sourceLocation: SourceLocation = #_sourceLocation
        ) {
            #expect(got.shape == a.shape, sourceLocation: sourceLocation)
            let got = got.elements
            let wrong = x.indices.first { abs(got[$0] - body(x[$0], y[$0])) > 5e-7 }
            #expect(wrong == nil, sourceLocation: sourceLocation)
        }
        check(a + b) { $0 + $1 }
        check(a - b) { $0 - $1 }
        check(Tensor.combine(2, a, -0.5, b)) { 2 * $0 - 0.5 * $1 }
        check(a.scaled(by: 3, shift: 1)) { a, _ in 3 * a + 1 }
        check(a.activated(.leakyReLU)) { a, _ in a < 0 ? 0.2 * a : a }
        check(a.mapped { $0 * $0 }) { a, _ in a * a }
        check(a * b, *)
        check(a / b.scaled(by: 1, shift: 3)) { $0 / ($1 + 3) }
        #expect(a.isFinite)
    }

    @Test("channels from a range")
    func channels() {
        let x = Tensor((0..<24).map { Float($0) }, [2, 3, 4])
        #expect(x.channels(1..<3).shape == [2, 3, 2])
        #expect(x.channels(1..<3).elements == [1, 2, 5, 6, 9, 10, 13, 14, 17, 18, 21, 22])
        #expect(x.channels(0..<4).elements == x.elements)
        #expect(x.channels(2..<2).shape == [2, 3, 0])
    }

    @Test("one element that is not finite among many", arguments: [0, 31, 99_999])
    func finite(place: Int) {
        for value: Float in [.nan, .infinity, -.infinity] {
            var x = Tensor(repeating: 1, [100_000])
            x.withUnsafeMutableElements { $0[place] = value }
            #expect(!x.isFinite)
        }
    }
}
