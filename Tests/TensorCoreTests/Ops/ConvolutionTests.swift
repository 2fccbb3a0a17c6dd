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
        let got = x.convolution(arranged, kernel: kernel, stride: stride, padding: padding)
        expectNear(got, want, squares: ConvolutionTests.bound)

        let epilogue = Epilogue(
            scale: Tensor.random([5], seed: 3), bias: Tensor.random([5], seed: 4),
            activation: .silu, residual: Tensor.random(want.shape, seed: 5), gain: 0.5,
            modulation: Epilogue.Modulation(
                scale: Tensor.random([2, 5], seed: 6), shift: Tensor.random([2, 5], seed: 7)))
        let finished = Twin.epilogue(want.values, samples: 2, outputs: 5, epilogue).values
        expectNear(
            x.convolution(arranged, kernel: kernel, stride: stride, padding: padding, epilogue),
            (finished, want.shape), squares: ConvolutionTests.bound)
    }

    /// More positions than one piece of work has.
    @Test("a convolution in several blocks")
    func blocks() {
        let x = Tensor.random([2, 19, 31, 2], seed: 1)
        let weight = Tensor.random([3, 2, 3, 3], seed: 2)
        expectNear(
            x.convolution(Tensor.convolutionWeight(weight), kernel: 3, padding: 1),
            Twin.convolution(x, weight, stride: 1, padding: 1), squares: ConvolutionTests.bound)
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
            expectNear(
                x.transposedConvolution(
                    arranged, bias: bias, kernel: kernel, stride: stride, padding: padding),
                want, squares: ConvolutionTests.bound)
            let activated = want.values.map { Twin.activate($0, .gelu) }
            expectNear(
                x.transposedConvolution(
                    arranged, bias: bias, kernel: kernel, stride: stride, padding: padding,
                    activation: .gelu),
                (activated, want.shape), squares: ConvolutionTests.bound)
        }
    }

    @Test("depthwise convolutions of every kind", arguments: [1, 2, 3, 4, 5], sizes)
    func depthwise(kernel: Int, size: [Int]) {
        for stride in 1...3 {
            for padding in [Padding.zeros, .replicate] {
                depthwise(kernel: kernel, stride: stride, size: size, padding: padding)
            }
        }
    }

    private func depthwise(kernel: Int, stride: Int, size: [Int], padding: Padding) {
        let channels = 19
        let x = Tensor.random([2, size[0], size[1], channels], seed: 1)
        let weight = Tensor.random([kernel * kernel, channels], seed: 2)
        let bias = Tensor.random([channels], seed: 3)
        let want = Twin.depthwise(
            x, weight, bias: bias, kernel: kernel, stride: stride, padding: padding)
        expectNear(
            x.depthwiseConvolution(
                weight, bias: bias, kernel: kernel, stride: stride, padding: padding),
            want, squares: ConvolutionTests.bound)

        let residual = Tensor.random(want.shape, seed: 4)
        let sums = zip(want.values, residual.doubles).map { 0.5 * $0 + $1 }
        expectNear(
            x.depthwiseConvolution(
                weight, bias: bias, kernel: kernel, stride: stride, padding: padding, gain: 0.5,
                residual: residual),
            (sums, want.shape), squares: ConvolutionTests.bound)
        let normed = Swift.stride(from: 0, to: sums.count, by: channels).flatMap {
            Twin.layerNorm(Array(sums[$0..<$0 + channels]), epsilon: 1e-3)
        }
        expectNear(
            x.depthwiseConvolution(
                weight, bias: bias, kernel: kernel, stride: stride, padding: padding, gain: 0.5,
                residual: residual, normalization: 1e-3),
            (normed, want.shape), squares: ConvolutionTests.bound)
    }

    /// Rows are normalised in bands of sixteen rows of the result; what lies around the picture is
    /// not normalised.
    @Test(
        "a layer norm of the input of a depthwise convolution", arguments: [1, 2, 3, 5],
        [1, 2, 16, 17, 35])
    func inputNormalization(kernel: Int, height: Int) {
        let x = Tensor.random([2, height, 3, 7], seed: 1, spread: 2, centre: 1)
        let weight = Tensor.random([kernel * kernel, 7], seed: 2)
        let bias = Tensor.random([7], seed: 3)
        let normed = Swift.stride(from: 0, to: x.count, by: 7).flatMap {
            Twin.layerNorm(
                Array(x.doubles[$0..<$0 + 7]), epsilon: 1e-6, scale: 1.5, shift: -0.25)
        }
        for stride in 1...3 {
            for padding in [Padding.zeros, .replicate] {
                let want = Twin.depthwise(
                    Tensor(normed.map { Float($0) }, x.shape), weight, bias: bias, kernel: kernel,
                    stride: stride, padding: padding)
                let residual = Tensor.random(want.shape, seed: 4)
                let got = x.depthwiseConvolution(
                    weight, bias: bias, kernel: kernel, stride: stride, padding: padding,
                    gain: 0.5, residual: residual, inputNormalization: (1.5, -0.25))
                let sums = zip(want.values, residual.doubles).map { 0.5 * $0 + $1 }
                expectNear(got, (sums, want.shape), squares: ConvolutionTests.bound)
            }
        }
    }
}
