import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Linear layers")
struct LinearTests {
    /// Sums of products in single precision.
    static let bound = 1e-12

    /// A product in one of the forms, and exactly.
    private struct Product {
        let term: Tensor.Term
        let twin: [Double]

        init(_ input: Tensor, _ weight: Tensor, _ form: PackedWeightForm, inputScale: Tensor? = nil)
        {
            term = Tensor.Term(input, form(weight), inputScale: inputScale)
            twin = Twin.product(input, weight, inputScale: inputScale)
        }
    }

    private func compare(
        _ products: [Product], _ epilogue: Epilogue = Epilogue(), bound: Double,
        _ comment: String = "", sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let terms = products.map(\.term)
        let twin = products.map(\.twin)
        let got = Tensor.linear(terms, epilogue)
        let (samples, outputs) = (got.shape[0], got.shape.channels)
        let sums = twin[0].indices.map { index in twin.reduce(0) { $0 + $1[index] } }
        let want = Twin.epilogue(sums, samples: samples, outputs: outputs, epilogue)
        expectNear(
            got.elements, want.values, squares: bound, comment, sourceLocation: sourceLocation)
        // The matrix that comes next decides how the result is kept, not what it is.
        for next in [PackedWeightForm.plain, .bfloat16, .int8] {
            let matrix = next(Tensor(repeating: 1, [1, outputs]))
            let (kept, sumOfSquares) = Tensor.linearWithSumOfSquares(terms, epilogue, for: matrix)
            let isExact = matrix.operandPrecision == .float32
            let isShort = !isExact && epilogue.activation == .gelu
            expectNear(
                sumOfSquares.elements, want.sumOfSquares,
                squares: isShort ? max(bound, 1e-6) : bound,
                "sum of squares, \(next), \(comment)", sourceLocation: sourceLocation)
            #expect(kept.shape == got.shape, sourceLocation: sourceLocation)
            let floats = kept.converted(to: .float32).floats
            if isShort {
                // What is kept in eight bits is computed to little more.
                expectNear(
                    floats?.elements ?? [], got.doubles, squares: 1e-5, "\(next), \(comment)",
                    sourceLocation: sourceLocation)
                continue
            }
            let rounded = got.elements.map { Twin.value(ofBFloat16: Twin.bfloat16($0)) }
            expectSame(
                floats ?? Tensor([], [0]), isExact ? got : Tensor(rounded, got.shape),
                "\(next), \(comment)", sourceLocation: sourceLocation)
        }
    }

    @Test("one product of awkward sizes", arguments: PackedWeightForm.allCases, [1, 3, 17, 33])
    func product(form: PackedWeightForm, rows: Int) {
        for outputs in [1, 5, 16, 31, 100] {
            for depth in [1, 7, 32] {
                let x = Tensor.random([2, rows, depth], seed: 1)
                let weight = Tensor.random([outputs, depth], seed: 2)
                let want = (Twin.product(x, weight), [2, rows, outputs] as Shape)
                poisonIdleMemory()
                expectNear(
                    x.linear(form(weight)), want, squares: form.bound(LinearTests.bound),
                    "\(outputs) outputs, depth \(depth)")
                if form == .plain { expectSame(x.linear(weight), x.linear(form(weight))) }
            }
        }
    }

    /// Widened in several blocks where the products are OpenBLAS's, summed up in several passes
    /// where they are not.
    @Test("a deep product", arguments: PackedWeightForm.allCases)
    func deep(form: PackedWeightForm) {
        let x = Tensor.random([1, 3, 3101], seed: 1)
        let weight = Tensor.random([70, 3101], seed: 2)
        expectNear(
            x.linear(form(weight)), (Twin.product(x, weight), [1, 3, 70]),
            squares: form.bound(LinearTests.bound))
    }

    @Test("a matrix knows what it is", arguments: PackedWeightForm.allCases)
    func properties(form: PackedWeightForm) {
        let matrix = form(Tensor.random([5, 7], seed: 1))
        #expect(matrix.outputs == 5 && matrix.features == 7 && matrix.precision == form.precision)
        let isWidened = [.widenedBFloat16, .widenedInt8].contains(form)
        let isAccelerated = form.precision.isAccelerated && !isWidened
        #expect(matrix.operandPrecision == (isAccelerated ? form.precision : .float32))
    }

    @Test("a matrix of rows, a sequence and an image are the same rows")
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

    @Test("several terms, each with some columns of a weight", arguments: PackedWeightForm.allCases)
    func terms(form: PackedWeightForm) {
        let weight = Tensor.random([6, 12], seed: 2)
        compare(
            [
                Product(Tensor.random([2, 3, 3, 5], seed: 1), weight.channels(3..<8), form),
                Product(Tensor.random([2, 3, 3, 1], seed: 3), weight.channels(11..<12), form),
                Product(
                    Tensor.random([2, 3, 3, 4], seed: 4), Tensor.random([6, 4], seed: 5), form),
            ], Epilogue(bias: Tensor.random([6], seed: 6), activation: .gelu),
            bound: form.bound(LinearTests.bound))
    }

    /// Large enough for tiles of columns, which must be cut where all of the matrices may be cut.
    @Test(
        "terms in two forms",
        arguments: [PackedWeightForm.plain, .float32, .bfloat16, .widenedInt8],
        [PackedWeightForm.plain, .float32, .int8, .widenedBFloat16])
    func mixedTerms(first: PackedWeightForm, second: PackedWeightForm) {
        let (x, other) = (
            Tensor.random([1, 32, 480], seed: 1), Tensor.random([1, 32, 9], seed: 2)
        )
        let bound = max(first.bound(LinearTests.bound), second.bound(LinearTests.bound))
        let weight = Tensor.random([1100, 480], seed: 3, spread: 0.1)
        let otherWeight = Tensor.random([1100, 9], seed: 4)
        let got = Tensor.linear([
            Tensor.Term(x, first(weight)), Tensor.Term(other, second(otherWeight)),
        ])
        // What the first form gives on its own is known to be right.
        let part = x.linear(first(weight))
        let want = zip(part.doubles, Twin.product(other, otherWeight)).map { $0 + $1 }
        expectNear(got, (want, got.shape), squares: bound)
    }

    @Test(
        "an input scale, folded into the smaller factor", arguments: PackedWeightForm.allCases,
        [3, 16, 40, 81])
    func inputScale(form: PackedWeightForm, outputs: Int) {
        for side in [1, 4, 9] {
            let x = Tensor.random([2, side, side, 7], seed: 1)
            let weight = Tensor.random([outputs, 11], seed: 2).channels(2..<9)
            let scale = Tensor.random([2, 7], seed: 3, spread: 2)
            let other = Tensor.random([2, side, side, 3], seed: 4)
            let otherWeight = Tensor.random([outputs, 3], seed: 5)
            compare(
                [
                    Product(other, otherWeight, form),
                    Product(x, weight, form, inputScale: scale),
                ], bound: form.bound(LinearTests.bound), "side \(side)")
        }
    }

    /// As in a residual block: rows of an odd length that were kept for the next matrix, with a
    /// scale for each sample.
    @Test(
        "what was kept for a matrix, times it", arguments: PackedWeightForm.allCases,
        [1, 2, 15, 16, 67])
    func chain(form: PackedWeightForm, hidden: Int) {
        for (side, outputs) in [(1, 20), (6, 20), (6, 50)] {
            let x = Tensor.random([2, side, side, 9], seed: 1)
            let weight = Tensor.random([hidden, 9], seed: 2)
            let next = Tensor.random([outputs, hidden], seed: 3)
            let matrix = form(next)
            poisonIdleMemory()
            let (kept, _) = Tensor.linearWithSumOfSquares(
                [Tensor.Term(x, form(weight))], Epilogue(activation: .gelu), for: matrix)
            let shape: Shape = [2, side, side, hidden]
            let exact = Twin.epilogue(
                Twin.product(x, weight), samples: 2, outputs: hidden, Epilogue(activation: .gelu)
            ).values
            let wide = Tensor(exact.map { Float($0) }, shape)
            for factors in [nil, Tensor.random([2, hidden], seed: 4, centre: 2)] {
                poisonIdleMemory()
                expectNear(
                    Tensor.linear([Tensor.Term(kept, matrix, inputScale: factors)]),
                    (
                        Twin.product(wide, next, inputScale: factors),
                        [2, side, side, outputs]
                    ), squares: 2 * form.bound(LinearTests.bound),
                    "side \(side), \(outputs) outputs, \(factors == nil)")
            }
        }
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
        for form in [PackedWeightForm.plain, .float32] {
            compare([Product(x, weight, form)], epilogue, bound: LinearTests.bound, "\(parts)")
        }
    }

    /// Columns that are put through the epilogue in several pieces, with sums of an awkward width.
    @Test("an epilogue of many columns", arguments: PackedWeightForm.allCases, [65, 97, 113, 145])
    func wideEpilogue(form: PackedWeightForm, outputs: Int) {
        let x = Tensor.random([2, 11, 8], seed: 1)
        compare(
            [Product(x, Tensor.random([outputs, 8], seed: 2), form)],
            Epilogue(
                scale: Tensor.random([outputs], seed: 3), bias: Tensor.random([outputs], seed: 4),
                activation: .leakyReLU, residual: Tensor.random([2, 11, outputs], seed: 5),
                modulation: Epilogue.Modulation(
                    scale: Tensor.random([2, outputs], seed: 6),
                    shift: Tensor.random([2, outputs], seed: 7))),
            bound: form.bound(LinearTests.bound))
    }

    @Test("no rows, no samples and no outputs", arguments: PackedWeightForm.allCases)
    func empty(form: PackedWeightForm) {
        let matrix = form(Tensor.random([3, 5], seed: 1))
        #expect(Tensor([], [2, 0, 5]).linear(matrix).shape == [2, 0, 3])
        #expect(Tensor([], [0, 5, 5]).linear(matrix).shape == [0, 5, 3])
        let none = form(Tensor([], [0, 5]))
        #expect(Tensor.random([2, 3, 5], seed: 2).linear(none).shape == [2, 3, 0])
        let (kept, sumOfSquares) = Tensor.linearWithSumOfSquares(
            [Tensor.Term(Tensor([], [2, 0, 5]), matrix)], for: matrix)
        #expect(kept.shape == [2, 0, 3] && sumOfSquares.elements == [0, 0, 0, 0, 0, 0])
    }

    @Test("a weight that is not finite is not hidden", arguments: PackedWeightForm.allCases)
    func notFinite(form: PackedWeightForm) {
        for value: Float in [.nan, .infinity] {
            var weight = Tensor.random([4, 9], seed: 1)
            weight.withUnsafeMutableElements { $0[2 * 9 + 5] = value }
            let y = Tensor.random([1, 3, 9], seed: 2).linear(form(weight)).elements
            #expect(y.enumerated().allSatisfy { $1.isFinite == ($0 % 4 != 2) })
        }
    }
}
