import TensorCore
import _WuerstchenTestSupport

/// An operation on some of the images of a batch of four, sized so that it is done in several
/// pieces.
struct SampleOperation: Sendable, CustomStringConvertible {
    let description: String
    let run: @Sendable (_ samples: Range<Int>) -> Tensor

    private init(_ name: String, _ run: @escaping @Sendable (Range<Int>) -> Tensor) {
        description = name
        self.run = run
    }

    private static let maps = Tensor.random([4, 17, 19, 33], seed: 1)
    /// Several bands of rows.
    private static let high = Tensor.random([4, 70, 3, 33], seed: 17)
    private static let sequences = Tensor.random([4, 150, 24], seed: 2, spread: 2)
    private static let residuals = Tensor.random([4, 17, 19, 33], seed: 3)
    private static let wide = Tensor.random([4, 600, 100], seed: 4)
    /// As many rows as packed products need for several tiles.
    private static let wideForPacked = Tensor.random([4, 150, 100], seed: 16)
    private static let factors = Tensor.random([4, 33], seed: 5)
    private static let weight = Tensor.random([33, 33], seed: 6)
    private static let bias = Tensor.random([33], seed: 7)
    private static let wideWeight = Tensor.random([512, 100], seed: 9)
    private static let tallWeight = Tensor.random([330, 33], seed: 10)
    private static let kernelWeight = Tensor.random([7, 9 * 33], seed: 11)
    private static let phaseWeights = (0..<4).map { Tensor.random([5, 4 * 33], seed: 12 + $0) }
    private static let taps = Tensor.random([9, 33], seed: 13)
    private static let text = Tensor.random([2, 530, 24], seed: 8)

    /// What multiplies, with matrices of one form.
    private static func products(_ form: PackedWeightForm) -> [SampleOperation] {
        let (matrix, wideMatrix, tallMatrix) = (form(weight), form(wideWeight), form(tallWeight))
        let kernel = form(kernelWeight)
        let wide = form == .plain ? wide : wideForPacked
        let phases = phaseWeights.map { form($0) }
        return [
            SampleOperation("\(form): linear with every part") { samples in
                let modulation = Epilogue.Modulation(
                    scale: factors[samples], shift: factors[samples])
                return maps[samples].linear(
                    matrix,
                    Epilogue(
                        scale: bias, bias: bias, activation: .gelu, residual: residuals[samples],
                        gain: 0.5, modulation: modulation))
            },
            SampleOperation("\(form): linear in several tiles") { samples in
                wide[samples].linear(wideMatrix)
            },
            SampleOperation("\(form): linear with scaled rows") { samples in
                Tensor.linear([
                    Tensor.Term(maps[samples], tallMatrix, inputScale: factors[samples]),
                    Tensor.Term(residuals[samples], tallMatrix),
                ])
            },
            SampleOperation("\(form): linear with scaled weights") { samples in
                Tensor.linear([Tensor.Term(maps[samples], matrix, inputScale: factors[samples])])
            },
            SampleOperation("\(form): sum of squares") { samples in
                Tensor.linearWithSumOfSquares(
                    [Tensor.Term(wide[samples], wideMatrix)], Epilogue(activation: .silu),
                    for: matrix
                ).sumOfSquares
            },
            SampleOperation("\(form): norms, two layers and a response") { samples in
                let normed = maps[samples].normalizedDepthwiseConvolution(
                    taps, bias: bias, for: matrix)
                let (hidden, sumOfSquares) = Tensor.linearWithSumOfSquares(
                    [Tensor.Term(normed, matrix)], Epilogue(activation: .gelu), for: matrix)
                let response = Tensor.globalResponse(sumOfSquares: sumOfSquares, gamma: bias)
                let y = Tensor.linear([Tensor.Term(hidden, matrix, inputScale: response)])
                return Tensor.linear([Tensor.Term(y.layerNormalized(for: matrix), matrix)])
            },
            SampleOperation("\(form): convolution") { samples in
                maps[samples].convolution(
                    kernel, kernel: 3, padding: 1, Epilogue(activation: .silu))
            },
            SampleOperation("\(form): transposed convolution") { samples in
                maps[samples].transposedConvolution(
                    phases, bias: nil, kernel: 4, stride: 2, padding: 1)
            },
            SampleOperation("\(form): MLP") { samples in
                maps[samples].addingMLP(
                    (matrix, bias), (matrix, bias), mixing: Mixing(Tensor([0.5, 0.5, 0.5], [3])))
            },
        ]
    }

    private static func attention(_ precision: Precision) -> [SampleOperation] {
        [
            SampleOperation("\(precision.rawValue): attention to oneself") { samples in
                let x = sequences[samples]
                return x.attention(
                    to: [Tensor.KeyValues(keys: x, values: x)], heads: 3, precision: precision)
            },
            SampleOperation("\(precision.rawValue): attention to a shared text and oneself") {
                samples in
                // Two neighbours look at one text.
                let owner = samples.lowerBound / 2
                let keys = text[owner..<owner + max(1, samples.count / 2)]
                let x = sequences[samples]
                return x.attention(
                    to: [
                        Tensor.KeyValues(keys: keys, values: keys),
                        Tensor.KeyValues(keys: x, values: x),
                    ], heads: 2, precision: precision)
            },
        ]
    }

    static let all =
        [.plain, .float32, .bfloat16, .int8, .widenedInt8].flatMap(products)
        + [Precision.float32, .bfloat16].flatMap(attention) + others

    private static let others = [
        SampleOperation("depthwise convolution") { samples in
            maps[samples].depthwiseConvolution(taps, bias: bias)
        },
        SampleOperation("added depthwise convolution of a norm") { samples in
            high[samples].addingDepthwiseConvolution(
                taps, bias: bias, mixing: Mixing(Tensor([1, 1, 0.5], [3])))
        },
        SampleOperation("layer norm") { samples in wide[samples].layerNormalized() },
        SampleOperation("scaled channels") { samples in
            maps[samples].scaledChannels(by: bias, shift: bias)
                .scaledChannels(bySample: factors[samples])
        },
        SampleOperation("modulation") { samples in
            maps[samples].modulated(
                by: Epilogue.Modulation(scale: factors[samples], shift: factors[samples]))
        },
        SampleOperation("mean over positions") { maps[$0].meanOverPositions() },
        SampleOperation("resizing") { maps[$0].antialiasedBicubic(height: 7, width: 23) },
        SampleOperation("activation and arithmetic") { samples in
            Tensor.combine(2, wide[samples].activated(.gelu), -1, wide[samples].scaled(by: 3))
        },
    ]
}
