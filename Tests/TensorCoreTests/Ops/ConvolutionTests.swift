import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Convolutions")
struct ConvolutionTests {
    static let bound = 1e-12

    struct Geometry: Sendable {
        let kernel: Int
        let stride: Int
        let padding: Int

        init(_ kernel: Int, _ stride: Int, _ padding: Int) {
            (self.kernel, self.stride, self.padding) = (kernel, stride, padding)
        }
    }

    private static let sizes = [[1, 1], [1, 6], [5, 1], [7, 5], [4, 8]]

    @Test(
        "convolutions of every kind",
        arguments: [
            Geometry(1, 1, 0), Geometry(1, 2, 0), Geometry(1, 1, 1), Geometry(2, 2, 0),
            Geometry(2, 1, 1), Geometry(3, 1, 1), Geometry(3, 2, 1), Geometry(3, 1, 0),
            Geometry(4, 2, 1), Geometry(5, 1, 2), Geometry(5, 3, 4),
        ], sizes)
    func convolution(geometry: Geometry, size: [Int]) {
        let (kernel, stride, padding) = (geometry.kernel, geometry.stride, geometry.padding)
        guard size.allSatisfy({ $0 + 2 * padding >= kernel }) else { return }
        let x = Tensor.random([2, size[0], size[1], 3], seed: 1)
        let weight = Tensor.random([5, 3, kernel, kernel], seed: 2)
        let want = Twin.convolution(x, weight, stride: stride, padding: padding)
        let arranged = Tensor.convolutionWeight(weight)
        let epilogue = Epilogue(
            scale: Tensor.random([5], seed: 3), bias: Tensor.random([5], seed: 4),
            activation: .silu, residual: Tensor.random(want.shape, seed: 5), gain: 0.5,
            modulation: Epilogue.Modulation(
                scale: Tensor.random([2, 5], seed: 6), shift: Tensor.random([2, 5], seed: 7)))
        let finished = Twin.epilogue(want.values, samples: 2, outputs: 5, epilogue).values
        for form in PackedWeightForm.allCases {
            let bound = form.bound(ConvolutionTests.bound)
            let matrix = form(arranged)
            expectNear(
                x.convolution(matrix, kernel: kernel, stride: stride, padding: padding), want,
                squares: bound, "\(form)")
            expectNear(
                x.convolution(matrix, kernel: kernel, stride: stride, padding: padding, epilogue),
                (finished, want.shape), squares: bound, "\(form)")
        }
    }

    /// More positions than one piece of work has.
    @Test("a convolution in several blocks", arguments: PackedWeightForm.allCases)
    func blocks(form: PackedWeightForm) {
        let x = Tensor.random([2, 19, 31, 2], seed: 1)
        let weight = Tensor.random([3, 2, 3, 3], seed: 2)
        expectNear(
            x.convolution(form(Tensor.convolutionWeight(weight)), kernel: 3, padding: 1),
            Twin.convolution(x, weight, stride: 1, padding: 1),
            squares: form.bound(ConvolutionTests.bound))
    }

    @Test(
        "transposed convolutions of every kind",
        arguments: [
            Geometry(1, 1, 0), Geometry(2, 1, 0), Geometry(2, 2, 0), Geometry(3, 1, 1),
            Geometry(3, 3, 0), Geometry(4, 2, 0), Geometry(4, 2, 1), Geometry(4, 2, 2),
            Geometry(4, 4, 1), Geometry(6, 2, 3), Geometry(6, 3, 2), Geometry(5, 1, 4),
        ], sizes)
    func transposed(geometry: Geometry, size: [Int]) {
        let (kernel, stride, padding) = (geometry.kernel, geometry.stride, geometry.padding)
        guard size.allSatisfy({ ($0 - 1) * stride - 2 * padding + kernel > 0 }) else { return }
        let x = Tensor.random([2, size[0], size[1], 3], seed: 1)
        let weight = Tensor.random([3, 5, kernel, kernel], seed: 2)
        let arranged = Tensor.transposedConvolutionWeight(
            weight, kernel: kernel, stride: stride, padding: padding)
        for bias in [nil, Tensor.random([5], seed: 3)] {
            let want = Twin.transposedConvolution(
                x, weight, bias: bias, stride: stride, padding: padding)
            let activated = want.values.map { Twin.activate($0, .gelu) }
            for form in PackedWeightForm.allCases {
                let phases = arranged.map { form($0) }
                let bound = form.bound(ConvolutionTests.bound)
                expectNear(
                    x.transposedConvolution(
                        phases, bias: bias, kernel: kernel, stride: stride, padding: padding),
                    want, squares: bound, "\(form)")
                expectNear(
                    x.transposedConvolution(
                        phases, bias: bias, kernel: kernel, stride: stride, padding: padding,
                        activation: .gelu),
                    (activated, want.shape), squares: bound, "\(form)")
            }
        }
    }

    @Test("depthwise convolutions of every kind", arguments: [1, 2, 3, 4, 5], sizes)
    func depthwise(kernel: Int, size: [Int]) {
        let channels = 19
        let x = Tensor.random([2, size[0], size[1], channels], seed: 1)
        let weight = Tensor.random([kernel * kernel, channels], seed: 2)
        let bias = Tensor.random([channels], seed: 3)
        for stride in 1...3 {
            expectNear(
                x.depthwiseConvolution(weight, bias: bias, kernel: kernel, stride: stride),
                Twin.depthwise(x, weight, bias: bias, kernel: kernel, stride: stride),
                squares: ConvolutionTests.bound)
        }
    }

    /// The operand is looked at through the product with the unit matrix.
    @Test(
        "a depthwise convolution and a layer norm, for a matrix",
        arguments: PackedWeightForm.allCases,
        sizes)
    func normalizedDepthwise(form: PackedWeightForm, size: [Int]) {
        let channels = 19
        let x = Tensor.random([2, size[0], size[1], channels], seed: 1)
        let unit = Tensor(
            (0..<channels * channels).map { $0 % (channels + 1) == 0 ? 1 : 0 },
            [channels, channels])
        for kernel in [1, 3, 5] {
            let weight = Tensor.random([kernel * kernel, channels], seed: 2)
            let bias = Tensor.random([channels], seed: 3)
            let want = Twin.depthwise(x, weight, bias: bias, kernel: kernel)
            let normed = Swift.stride(from: 0, to: want.values.count, by: channels).flatMap {
                Twin.layerNorm(Array(want.values[$0..<$0 + channels]), epsilon: 1e-3)
            }
            let matrix = form(unit)
            poisonIdleMemory()
            let got = x.normalizedDepthwiseConvolution(
                weight, bias: bias, kernel: kernel, epsilon: 1e-3, for: matrix)
            #expect(got.shape == want.shape)
            expectNear(
                Tensor.linear([Tensor.Term(got, matrix)]), (normed, want.shape),
                squares: form.bound(ConvolutionTests.bound), "kernel \(kernel)")
        }
    }

    /// Bands are 32 rows high; a band's last rows are overwritten while its neighbour needs them.
    @Test(
        "a depthwise convolution of a norm, added in place", arguments: [1, 3, 5],
        [1, 2, 31, 32, 33, 34, 70])
    func addingDepthwise(kernel: Int, height: Int) {
        for channels in [7, 32] {
            let x = Tensor.random([2, height, 5, channels], seed: 1, spread: 2, centre: 1)
            let weight = Tensor.random([kernel * kernel, channels], seed: 2)
            let bias = Tensor.random([channels], seed: 3)
            let normed = Swift.stride(from: 0, to: x.count, by: channels).flatMap {
                Twin.layerNorm(
                    Array(x.doubles[$0..<$0 + channels]), epsilon: 1e-6, scale: 1.5, shift: -0.25)
            }
            let sums = Twin.depthwise(
                Tensor(normed.map { Float($0) }, x.shape), weight, bias: bias, kernel: kernel,
                replicates: true)
            let want = zip(sums.values, x.doubles).map { 0.5 * $0 + $1 }
            let before = x.elements
            poisonIdleMemory()
            let got = x.addingDepthwiseConvolution(
                weight, bias: bias, kernel: kernel,
                mixing: Mixing(Tensor([0.5, -0.25, 0.5], [3])))
            expectNear(got, (want, x.shape), squares: ConvolutionTests.bound)
            // Whoever else holds the elements keeps them as they were.
            #expect(x.elements == before)
        }
    }
}
