import TensorCore
import Testing
import _WuerstchenTestSupport

/// Gradients of an input through weights that are not learnt, in every form that weights are kept
/// in.
@Suite("Gradients through frozen weights") struct FrozenWeightTests {
    /// A function of an input and of weights that are packed for it.
    struct Function: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let input: Shape
        let weights: [Shape]
        let body: @Sendable (Tensor, [PackedWeight]) -> Tensor

        init(
            _ name: String, _ input: Shape, _ weights: [Shape],
            _ body: @escaping @Sendable (Tensor, [PackedWeight]) -> Tensor
        ) {
            (testDescription, self.input, self.weights, self.body) = (name, input, weights, body)
        }

        /// The function's gradients with respect to its input and to those weights that are
        /// tracked.
        func gradients(
            _ form: PackedWeightForm, tracked: Set<Int> = [], tracksInput: Bool = true
        ) throws -> (input: Tensor?, weights: [Tensor?]) {
            let plain = Tensor.random(input, seed: 1)
            let x = tracksInput ? plain.tracked() : plain
            let leaves = weights.enumerated().map { place, shape in
                let weight = Tensor.random(shape, seed: 10 + place, spread: 0.5)
                return tracked.contains(place) ? weight.tracked() : weight
            }
            let result = body(x, leaves.map { form($0) })
            let found = try (result * Tensor.random(result.shape, seed: 2)).sum().gradients()
            return (found[x], leaves.map { found[$0] })
        }
    }

    static let functions = [
        Function("linear layer", [2, 3, 5, 19], [[37, 19]]) { x, weights in
            x.linear(weights[0], Epilogue(bias: .random([37], seed: 3), activation: .gelu))
        },
        Function("linear layer of several panels", [2, 9, 131], [[100, 131]]) { x, weights in
            x.linear(weights[0])
        },
        Function("sum of terms, one of them scaled", [2, 7, 24], [[33, 24], [33, 24]]) {
            x, weights in
            let scale = x.meanOverPositions()
            return Tensor.linear([
                Tensor.Term(x, weights[0]), Tensor.Term(x, weights[1], inputScale: scale),
            ])
        },
        Function("convolution", [2, 6, 7, 5], [[11, 45]]) { x, weights in
            x.convolution(weights[0], kernel: 3, stride: 2, padding: 1, Epilogue(activation: .silu))
        },
        Function(
            "transposed convolution", [2, 3, 4, 5], [[7, 20], [7, 20], [7, 20], [7, 20]]
        ) { x, weights in
            x.transposedConvolution(
                weights, bias: nil, kernel: 4, stride: 2, padding: 1, activation: .gelu)
        },
        Function("MLP", [2, 5, 4, 11], [[23, 11], [11, 23]]) { x, weights in
            x.addingMLP(
                (weights[0], .random([23], seed: 4)), (weights[1], .random([11], seed: 5)),
                mixing: Mixing(Tensor([0.5, -0.25, 0.75], [3])))
        },
        Function("residual block", [2, 3, 5, 12], [[48, 12], [12, 48]]) { x, weights in
            let normed = x.normalizedDepthwiseConvolution(
                .random([9, 12], seed: 6), bias: .random([12], seed: 7), for: weights[0])
            let (hidden, sumOfSquares) = Tensor.linearWithSumOfSquares(
                [Tensor.Term(normed, weights[0])],
                Epilogue(bias: .random([48], seed: 8), activation: .gelu), for: weights[1])
            let response = Tensor.globalResponse(
                sumOfSquares: sumOfSquares, gamma: .random([48], seed: 9))
            return Tensor.linear(
                [Tensor.Term(hidden, weights[1], inputScale: response)], Epilogue(residual: x))
        },
    ]

    /// The relative squared error of gradients that is allowed.
    private func bound(_ form: PackedWeightForm) -> Double {
        form.precision == .float32 ? 1e-10 : 2e-4
    }

    @Test(
        "the input's is that through tracked weights",
        arguments: functions, [PackedWeightForm.plain, .float32, .bfloat16, .widenedBFloat16])
    func input(function: Function, form: PackedWeightForm) throws {
        let frozen = try #require(try function.gradients(form).input)
        let all = Set(function.weights.indices)
        let tracked = try #require(try function.gradients(form, tracked: all).input)
        let plain = try #require(try function.gradients(.plain, tracked: all).input)
        // What is read back is what was packed, so that packing it again rounds nothing.
        if form != .widenedBFloat16, form.precision.isAccelerated { expectSame(frozen, tracked) }
        expectNear(frozen.elements, tracked.doubles, squares: bound(form), "as tracked")
        expectNear(frozen.elements, plain.doubles, squares: bound(form), "in float32")
    }

    @Test(
        "only tracked weights get one",
        arguments: functions, [PackedWeightForm.float32, .bfloat16, .widenedBFloat16])
    func weights(function: Function, form: PackedWeightForm) throws {
        let all = try function.gradients(form, tracked: Set(function.weights.indices)).weights
        for learnt in function.weights.indices {
            let found = try function.gradients(form, tracked: [learnt], tracksInput: false)
            #expect(found.input == nil)
            for (place, gradient) in found.weights.enumerated() {
                guard place == learnt else {
                    #expect(gradient == nil)
                    continue
                }
                let (got, want) = (try #require(gradient), try #require(all[place]))
                expectNear(got.elements, want.doubles, squares: bound(form), "weight \(place)")
            }
        }
    }

    @Test(
        "those through 8-bit weights are refused", arguments: functions,
        [PackedWeightForm.int8, .widenedInt8])
    func int8(function: Function, form: PackedWeightForm) throws {
        expectError(.invalidRequest, "8-bit", "bfloat16") {
            _ = try function.gradients(form)
        }
        expectError(.invalidRequest, "8-bit", "bfloat16") {
            _ = try function.gradients(form, tracked: [0], tracksInput: false)
        }
    }

    @Test("a layer of float32 takes rows that were kept as bfloat16")
    func mixedPrecisions() throws {
        let (x, first) = (Tensor.random([2, 5, 12], seed: 1), Tensor.random([24, 12], seed: 2))
        let second = Tensor.random([7, 24], seed: 3)
        func gradient(_ kept: Precision) throws -> Tensor {
            let leaf = second.tracked()
            let (hidden, _) = Tensor.linearWithSumOfSquares(
                [Tensor.Term(x, PackedWeight(first, precision: .float32))],
                Epilogue(activation: .gelu), for: PackedWeight(second, precision: kept))
            let result = Tensor.linear([
                Tensor.Term(hidden, PackedWeight(leaf, precision: .float32))
            ])
            return try #require(try result.meanSquare().gradients()[leaf])
        }
        expectNear(
            try gradient(.bfloat16).elements, try gradient(.float32).doubles, squares: 2e-4)
    }

    @Test("what cannot be differentiated is said by an error")
    func refusals() throws {
        let x = Tensor.random([6, 5, 8], seed: 1).tracked()
        expectError(.invalidRequest, "[6, 5, 8]", "one number") { _ = try x.gradients() }
        let weight = PackedWeight(plain: .random([8, 8], seed: 2))
        let sums = Tensor.linearWithSumOfSquares(
            [Tensor.Term(x, weight)], Epilogue(activation: .silu), for: weight)
        expectError(.invalidRequest, "sum of squares", "GELU") {
            _ = try sums.sumOfSquares.sum().gradients()
        }
        let segments = [3, 2].map {
            Tensor.KeyValues(
                keys: .random([$0, 4, 8], seed: 3), values: .random([$0, 4, 8], seed: 4))
        }
        let attended = x.attention(to: segments, heads: 2)
        expectError(.invalidRequest, "groups") { _ = try attended.sum().gradients() }
    }
}
