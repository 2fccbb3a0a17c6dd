import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Normalisation")
struct NormTests {
    static let bound = 1e-12

    @Test("layer norm over the channels", arguments: [1, 3, 16, 33, 100], [false, true])
    func layerNorm(channels: Int, isAffine: Bool) {
        let x = Tensor.random([2, 3, 5, channels], seed: 1, spread: 2, centre: 1)
        let weight = Tensor.random([channels], seed: 2)
        let bias = Tensor.random([channels], seed: 3)
        let got = x.layerNormalized(
            epsilon: 1e-5, scale: 1.5, shift: 0.25, affine: isAffine ? (weight, bias) : nil)
        let want = stride(from: 0, to: x.count, by: channels).flatMap { start in
            let row = Array(x.doubles[start..<start + channels])
            let normed = Twin.layerNorm(row, epsilon: 1e-5, scale: 1.5, shift: 0.25)
            return normed.enumerated().map { channel, value in
                isAffine ? value * weight.doubles[channel] + bias.doubles[channel] : value
            }
        }
        expectNear(got, (want, x.shape), squares: NormTests.bound)
    }

    /// The operand is looked at through the product with the unit matrix.
    @Test("layer norm for a matrix", arguments: PackedWeightForm.allCases, [3, 16, 33, 100])
    func layerNorm(form: PackedWeightForm, channels: Int) {
        let x = Tensor.random([2, 400, channels], seed: 1, spread: 2, centre: 1)
        let affine = (
            weight: Tensor.random([channels], seed: 2), bias: Tensor.random([channels], seed: 3)
        )
        let unit = Tensor(
            (0..<channels * channels).map { $0 % (channels + 1) == 0 ? 1 : 0 },
            [channels, channels])
        let matrix = form(unit)
        for affine in [nil, affine] {
            let want = x.layerNormalized(epsilon: 1e-5, affine: affine)
            poisonIdleMemory()
            let got = x.layerNormalized(epsilon: 1e-5, affine: affine, for: matrix)
            #expect(got.shape == x.shape)
            expectNear(
                Tensor.linear([Tensor.Term(got, matrix)]), (want.doubles, x.shape),
                squares: form.bound(NormTests.bound))
        }
    }

    /// More rows than one piece of work has.
    @Test("layer norm of many rows")
    func manyRows() {
        let x = Tensor.random([1, 9000, 7], seed: 1)
        let got = x.layerNormalized()
        for row in [0, 4680, 4681, 4682, 8999] {
            let place = row * 7..<row * 7 + 7
            let want = Twin.layerNorm(Array(x.doubles[place]), epsilon: 1e-6)
            expectNear(Array(got.elements[place]), want, squares: NormTests.bound, "row \(row)")
        }
    }

    @Test("global response normalisation's factors", arguments: [1, 5, 64])
    func globalResponse(channels: Int) {
        let sumOfSquares = Tensor.random([3, channels], seed: 1, centre: 1)
        let gamma = Tensor.random([channels], seed: 2)
        let got = Tensor.globalResponse(sumOfSquares: sumOfSquares, gamma: gamma)
        let want = (0..<3).flatMap { sample in
            let norms = sumOfSquares.doubles[sample * channels..<(sample + 1) * channels]
                .map { $0.squareRoot() }
            let mean = norms.reduce(0, +) / Double(channels)
            return norms.enumerated().map { 1 + gamma.doubles[$0] * $1 / (mean + 1e-6) }
        }
        expectNear(got, (want, sumOfSquares.shape), squares: NormTests.bound)
    }

    @Test("silent channels have the response 1")
    func silence() {
        let got = Tensor.globalResponse(
            sumOfSquares: Tensor(repeating: 0, [1, 4]), gamma: Tensor(repeating: 5, [4]))
        #expect(got.elements == [1, 1, 1, 1])
    }

    @Test("factors and summands of channels and of samples", arguments: [1, 7, 33], [1, 6])
    func channels(channels: Int, side: Int) {
        let x = Tensor.random([3, side, 7, channels], seed: 1)
        let (scale, shift) = (
            Tensor.random([channels], seed: 2), Tensor.random([channels], seed: 3)
        )
        let bySample = Tensor.random([3, channels], seed: 4)
        let modulation = Epilogue.Modulation(
            scale: bySample, shift: Tensor.random([3, channels], seed: 5))
        let rows = side * 7
        func map(_ body: (_ x: Double, _ channel: Int, _ sample: Int) -> Double) -> [Double] {
            x.doubles.enumerated().map { place, value in
                let sample = place / (rows * channels)
                return body(value, place % channels, sample * channels + place % channels)
            }
        }
        expectNear(
            x.scaledChannels(by: scale, shift: shift),
            (map { x, channel, _ in x * scale.doubles[channel] + shift.doubles[channel] }, x.shape),
            squares: NormTests.bound)
        expectNear(
            x.scaledChannels(bySample: bySample),
            (map { x, _, place in x * bySample.doubles[place] }, x.shape), squares: NormTests.bound)
        expectNear(
            x.modulated(by: modulation),
            (
                map { x, _, place in
                    x * (1 + bySample.doubles[place]) + modulation.shift.doubles[place]
                }, x.shape
            ), squares: NormTests.bound)
        var means = [Double](repeating: 0, count: 3 * channels)
        _ = map { x, _, place in
            means[place] += x / Double(rows)
            return 0
        }
        expectNear(x.meanOverPositions(), (means, [3, channels]), squares: NormTests.bound)
    }
}
