import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Linear layers")
struct LinearTests {
    /// Sums of products in single precision.
    static let bound = 1e-12

    private func compare(
        _ terms: [Tensor.Term], _ epilogue: Epilogue = Epilogue(), twin: [[Double]],
        _ comment: String = "", sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let (got, energy) = Tensor.linearWithEnergy(terms, epilogue)
        let samples = got.shape[0]
        let sums = twin[0].indices.map { index in twin.reduce(0) { $0 + $1[index] } }
        let want = Twin.epilogue(sums, samples: samples, outputs: got.shape.channels, epilogue)
        expectNear(
            got.elements, want.values, squares: LinearTests.bound, comment,
            sourceLocation: sourceLocation)
        expectNear(
            energy.elements, want.energy, squares: LinearTests.bound, "energy, \(comment)",
            sourceLocation: sourceLocation)
        expectSame(Tensor.linear(terms, epilogue), got, comment, sourceLocation: sourceLocation)
    }

    @Test("one product of awkward sizes", arguments: [1, 3, 17, 33], [1, 5, 16, 31])
    func product(rows: Int, outputs: Int) {
        for depth in [1, 7, 32] {
            let x = Tensor.random([2, rows, depth], seed: 1)
            let weight = Tensor.random([outputs, depth], seed: 2)
            let want = (Twin.product(x, weight), [2, rows, outputs] as Shape)
            expectNear(x.linear(weight), want, squares: LinearTests.bound)
        }
    }

    @Test("a matrix of rows, a sequence and a picture are the same rows")
    func ranks() {
        let weight = Tensor.random([5, 7], seed: 1)
        let rows = Tensor.random([12, 7], seed: 2)
        let flat = rows.linear(weight)
        for shape in [[1, 12, 7], [3, 4, 7], [1, 3, 4, 7], [2, 2, 3, 7]] {
            let got = rows.reshaped(to: Shape(shape)).linear(weight)
            #expect(got.shape.array == shape.dropLast() + [5])
            expectNear(got.elements, flat.doubles, squares: LinearTests.bound)
        }
    }

    @Test("several terms, each with some columns of its matrix")
    func terms() {
        let parts = [
            (Tensor.random([2, 3, 3, 5], seed: 1), Tensor.random([6, 12], seed: 2), 3..<8),
            (Tensor.random([2, 3, 3, 1], seed: 3), Tensor.random([6, 12], seed: 2), 11..<12),
            (Tensor.random([2, 3, 3, 4], seed: 4), Tensor.random([6, 4], seed: 5), 0..<4),
        ]
        compare(
            parts.map { Tensor.Term($0, $1, features: $2) },
            Epilogue(bias: Tensor.random([6], seed: 6), activation: .gelu),
            twin: parts.map { Twin.product($0, $1, features: $2) })
    }

    @Test(
        "an input scale, folded into the smaller factor", arguments: [1, 4, 9], [3, 16, 40, 81])
    func inputScale(side: Int, outputs: Int) {
        let x = Tensor.random([2, side, side, 6], seed: 1)
        let weight = Tensor.random([outputs, 11], seed: 2)
        let features = 2..<8
        let scale = Tensor.random([2, 6], seed: 3, spread: 2)
        let other = Tensor.random([2, side, side, 3], seed: 4)
        let otherWeight = Tensor.random([outputs, 3], seed: 5)
        compare(
            [
                Tensor.Term(other, otherWeight),
                Tensor.Term(x, weight, features: features, inputScale: scale),
            ],
            twin: [
                Twin.product(other, otherWeight),
                Twin.product(x, weight, features: features, inputScale: scale),
            ])
    }

    @Test("every part of an epilogue", arguments: 0..<64)
    func epilogue(parts: Int) {
        let outputs = 19
        let x = Tensor.random([2, 3, 5, 8], seed: 1)
        let weight = Tensor.random([outputs, 8], seed: 2)
        func part(_ bit: Int, _ shape: Shape) -> Tensor? {
            parts & bit == 0 ? nil : Tensor.random(shape, seed: 10 + bit, centre: 0.5)
        }
        let factor = part(8, [2, outputs])
        let epilogue = Epilogue(
            scale: part(1, [outputs]), bias: part(2, [outputs]),
            activation: activations[parts % activations.count].activation,
            residual: part(4, [2, 3, 5, outputs]), gain: parts & 16 == 0 ? 1 : -0.5,
            modulation: factor.map {
                Epilogue.Modulation(scale: $0, shift: Tensor.random([2, outputs], seed: 9))
            })
        compare([Tensor.Term(x, weight)], epilogue, twin: [Twin.product(x, weight)], "\(parts)")
    }

    @Test("no rows and no samples")
    func empty() {
        let weight = Tensor.random([3, 4], seed: 1)
        #expect(Tensor([], [2, 0, 4]).linear(weight).shape == [2, 0, 3])
        #expect(Tensor([], [0, 5, 4]).linear(weight).shape == [0, 5, 3])
    }
}
