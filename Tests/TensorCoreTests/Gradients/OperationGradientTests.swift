import TensorCore
import Testing
import _WuerstchenTestSupport

/// The derivative of every operation that networks are made of, on sizes that are multiples of
/// nothing.
@Suite struct OperationGradientTests {
    private func input(_ shape: Shape, _ seed: Int, spread: Float = 1, centre: Float = 0) -> Tensor
    {
        .random(shape, seed: seed, spread: spread, centre: centre)
    }

    @Test func arithmetic() throws {
        let a = input([3, 5], 1)
        let b = input([3, 5], 2, spread: 0.4, centre: 2)
        try checkGradients([a, b]) {
            ($0[0] + $0[1]) * $0[1] / ($0[1].abs() + $0[1]) - $0[0] * $0[0]
        }
        try checkGradients([a]) { $0[0].scaled(by: -1.5, shift: 2).abs() }
        try checkGradients([b]) { $0[0].rsqrt(adding: 1e-3) }
        try checkGradients([a]) { $0[0].repeatingElement(4, [2, 3]) }
        try checkGradients([a, a]) { Tensor.combine(2, $0[0], -3, $0[1]) }
    }

    @Test func reductions() throws {
        let a = input([3, 7], 3)
        try checkGradients([a]) { $0[0].mean() }
        try checkGradients([a]) { $0[0].meanSquare(weights: [1, 0.5, 2]) }
        try checkGradients([a]) { $0[0].crossEntropy([2, nil, 6]) }
        // Whole numbers and fractions: no pair of neighbours is nearly equal.
        let image = Tensor((0..<60).map { Float($0 * 37 % 60) * 0.5 }, [2, 3, 5, 2])
        try checkGradients([image]) { $0[0].meanNeighborDifference() }
    }

    @Test func shapesAndSlices() throws {
        let a = input([4, 3, 2], 4)
        try checkGradients([a]) { $0[0].reshaped(to: [2, 12]) }
        try checkGradients([a]) { $0[0][1..<3] }
        try checkGradients([a]) { $0[0].channels(1..<2) }
        try checkGradients([a, a]) { Tensor.concatenating([$0[0], $0[1], $0[0]]) }
        try checkGradients([input([5, 3], 5)]) { $0[0].embeddingLookup([4, 1, 1, 0]) }
        try checkGradients([input([5, 3], 5)]) { $0[0].matrixTransposed() }
        let image = input([2, 4, 6, 8], 6)
        try checkGradients([image]) { $0[0].pixelShuffled(2) }
        try checkGradients([image]) { $0[0].pixelUnshuffled(2) }
        try checkGradients([image]) { $0[0].channelsFirst().channelsLast() }
        try checkGradients([image]) {
            $0[0].resized(
                rows: .bilinear(from: 4, to: 7), columns: .antialiasedBicubic(from: 6, to: 4))
        }
    }

    @Test(arguments: [Activation.gelu, .quickGELU, .silu, .sigmoid, .leakyReLU])
    func activations(_ activation: Activation) throws {
        // The kink of the leaky ReLU is not in the way of any step.
        let a = Tensor(
            input([5, 7], 7).elements.map { abs($0) < 0.1 ? $0 + 0.3 : 2 * $0 }, [5, 7])
        try checkGradients([a], step: 0.01) { $0[0].activated(activation) }
    }

    @Test func norms() throws {
        let a = input([2, 3, 5, 19], 8)
        let (weight, bias) = (input([19], 9, centre: 1), input([19], 10))
        try checkGradients([a]) { $0[0].layerNormalized(scale: 1.5, shift: 0.5) }
        try checkGradients([a, weight, bias]) {
            $0[0].layerNormalized(epsilon: 1e-5, affine: ($0[1], $0[2]))
        }
        try checkGradients([a]) { $0[0].batchNormalized(epsilon: 1e-5).result }
        try checkGradients([a, weight, bias]) { $0[0].scaledChannels(by: $0[1], shift: $0[2]) }
        try checkGradients([a, input([2, 19], 11), input([2, 19], 12)]) {
            $0[0].modulated(by: Epilogue.Modulation(scale: $0[1], shift: $0[2]))
        }
        try checkGradients([a, input([2, 19], 13)]) { $0[0].scaledChannels(bySample: $0[1]) }
        try checkGradients([a]) { $0[0].meanOverPositions() }
        try checkGradients([input([2, 9], 14, spread: 0.5, centre: 2), input([9], 15)]) {
            Tensor.globalResponse(sumOfSquares: $0[0], gamma: $0[1])
        }
    }

    @Test(arguments: [Precision.float32, .bfloat16])
    func linearLayers(_ precision: Precision) throws {
        // bfloat16 are exact for the values, not for their differences: these are coarse steps
        // through a bilinear function, with the error of eight significant bits.
        let tolerance = precision == .float32 ? 2e-3 : 1.5e-2
        let step: Float = precision == .float32 ? 0.02 : 0.5
        let (a, b) = (input([2, 3, 5, 19], 20), input([2, 3, 5, 6], 21))
        let (weight, second) = (input([37, 19], 22), input([37, 6], 23))
        let (bias, residual) = (input([37], 24), input([2, 3, 5, 37], 25))
        try checkGradients(
            [a, weight, b, second, bias, residual], step: step, tolerance: tolerance
        ) {
            Tensor.linear(
                [
                    Tensor.Term($0[0], PackedWeight($0[1], precision: precision)),
                    Tensor.Term($0[2], PackedWeight($0[3], precision: precision)),
                ], Epilogue(bias: $0[4], residual: $0[5], gain: -1.5))
        }
        try checkGradients([a, weight, input([2, 19], 26)], step: step, tolerance: tolerance) {
            Tensor.linear([
                Tensor.Term($0[0], PackedWeight($0[1], precision: precision), inputScale: $0[2])
            ])
        }
    }

    @Test func everyStepOfAnEpilogue() throws {
        let (a, weight, scale) = (input([2, 4, 11], 30), input([18, 11], 31), input([18], 32))
        let (bias, residual) = (input([18], 33), input([2, 4, 18], 34))
        let (factor, shift) = (input([2, 18], 35), input([2, 18], 36))
        try checkGradients([a, weight, scale, bias, residual, factor, shift]) {
            $0[0].linear(
                PackedWeight($0[1], precision: .float32),
                Epilogue(
                    scale: $0[2], bias: $0[3], activation: .silu, residual: $0[4], gain: 0.5,
                    modulation: Epilogue.Modulation(scale: $0[5], shift: $0[6])))
        }
    }

    @Test(arguments: [Precision.float32, .bfloat16])
    func mlpsWithGlobalResponse(_ precision: Precision) throws {
        let x = input([2, 3, 5, 11], 40)
        let (first, bias) = (input([44, 11], 41, spread: 0.5), input([44], 42))
        let (gamma, second) = (input([44], 43), input([11, 44], 44, spread: 0.3))
        let isExact = precision == .float32
        try checkGradients(
            [x, first, bias, gamma, second], step: isExact ? 0.02 : 0.1,
            tolerance: isExact ? 2e-3 : 3e-2
        ) {
            let project = PackedWeight($0[4], precision: precision)
            let (hidden, sumOfSquares) = Tensor.linearWithSumOfSquares(
                [Tensor.Term($0[0], PackedWeight($0[1], precision: precision))],
                Epilogue(bias: $0[2], activation: .gelu), for: project)
            let response = Tensor.globalResponse(sumOfSquares: sumOfSquares, gamma: $0[3])
            return Tensor.linear(
                [Tensor.Term(hidden, project, inputScale: response)], Epilogue(residual: $0[0]))
        }
    }

    @Test func normalizedOperands() throws {
        let x = input([2, 4, 5, 13], 50)
        let (kernel, bias) = (input([9, 13], 51), input([13], 52))
        let weight = input([17, 13], 53)
        try checkGradients([x, kernel, bias, weight]) {
            let matrix = PackedWeight($0[3], precision: .float32)
            let operand = $0[0].normalizedDepthwiseConvolution($0[1], bias: $0[2], for: matrix)
            return Tensor.linear([Tensor.Term(operand, matrix)])
        }
        try checkGradients([x, weight]) {
            let matrix = PackedWeight($0[1], precision: .float32)
            return Tensor.linear([Tensor.Term($0[0].layerNormalized(for: matrix), matrix)])
        }
    }

    @Test(arguments: [(3, 1), (3, 2), (5, 1), (1, 1)])
    func depthwiseConvolutions(_ kernel: Int, _ stride: Int) throws {
        let weight = input([kernel * kernel, 19], 60)
        try checkGradients([input([2, 5, 7, 19], 61), weight, input([19], 62)]) {
            $0[0].depthwiseConvolution($0[1], bias: $0[2], kernel: kernel, stride: stride)
        }
    }

    @Test func mixingBlocks() throws {
        let (x, mixing) = (input([2, 5, 4, 11], 65), input([3], 66, spread: 0.5))
        try checkGradients([x, input([9, 11], 67), input([11], 68), mixing]) {
            $0[0].addingDepthwiseConvolution($0[1], bias: $0[2], mixing: Mixing($0[3]))
        }
        try checkGradients(
            [
                x, input([23, 11], 69), input([23], 70), input([11, 23], 71), input([11], 72),
                mixing,
            ]
        ) {
            $0[0].addingMLP(
                (PackedWeight($0[1], precision: .float32), $0[2]),
                (PackedWeight($0[3], precision: .float32), $0[4]), mixing: Mixing($0[5]))
        }
    }

    @Test(arguments: [(3, 1, 1), (4, 2, 1), (2, 2, 0), (3, 2, 1), (1, 1, 0)])
    func convolutions(_ kernel: Int, _ stride: Int, _ padding: Int) throws {
        let weight = input([7, 5, kernel, kernel], 80)
        try checkGradients([input([2, 6, 8, 5], 81), weight, input([7], 82)]) {
            $0[0].convolution(
                PackedWeight(Tensor.convolutionWeight($0[1]), precision: .float32), kernel: kernel,
                stride: stride, padding: padding, Epilogue(bias: $0[2], activation: .gelu))
        }
    }

    @Test(arguments: [(2, 2, 0), (4, 2, 1)])
    func transposedConvolutions(_ kernel: Int, _ stride: Int, _ padding: Int) throws {
        let weight = input([5, 7, kernel, kernel], 85)
        try checkGradients([input([2, 3, 4, 5], 86), weight, input([7], 87)]) {
            let phases = Tensor.transposedConvolutionWeight(
                $0[1], kernel: kernel, stride: stride, padding: padding)
            return $0[0].transposedConvolution(
                phases.map { PackedWeight($0, precision: .float32) }, bias: $0[2], kernel: kernel,
                stride: stride, padding: padding, activation: .gelu)
        }
    }

    @Test func attentionToSeveralSegments() throws {
        let queries = input([4, 7, 6], 90)
        let (keys, values) = (input([4, 5, 6], 91), input([4, 5, 6], 92))
        let (text, meaning) = (input([2, 3, 6], 93), input([2, 3, 6], 94))
        let mask = Tensor([0, 0, -.infinity, 0, -.infinity, 0], [2, 3])
        try checkGradients([queries, keys, values, text, meaning]) {
            $0[0].attention(
                to: [
                    Tensor.KeyValues(keys: $0[1], values: $0[2]),
                    Tensor.KeyValues(keys: $0[3], values: $0[4], mask: mask),
                ], heads: 2)
        }
    }

    @Test func causalAttentionInBlocks() throws {
        let queries = input([1, 101, 4], 95)
        try checkGradients([queries, input([1, 101, 4], 96), input([1, 101, 4], 97)]) {
            $0[0].attention(
                to: [Tensor.KeyValues(keys: $0[1], values: $0[2])], heads: 1, causal: true)
        }
    }
}
