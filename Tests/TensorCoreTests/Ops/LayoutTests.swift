import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Layout")
struct LayoutTests {
    @Test("concatenating and slicing along the first axis")
    func concatenating() {
        let parts = [2, 0, 3, 1].enumerated().map {
            Tensor.random([$1, 3, 5], seed: $0)
        }
        let whole = Tensor.concatenating(parts)
        #expect(whole.shape == [6, 3, 5])
        #expect(whole.elements == parts.flatMap(\.elements))
        expectSame(whole[0..<2], parts[0])
        expectSame(whole[2..<2], parts[1])
        expectSame(whole[2..<5], parts[2])
        expectSame(whole[1..<6][4..<5], parts[3])
        expectSame(Tensor.concatenating([parts[0]]), parts[0])
    }

    @Test(
        "channels-first and channels-last",
        arguments: [[2, 3, 4, 5], [1, 1, 17, 33], [3, 16, 1, 1]])
    func channels(lengths: [Int]) {
        let (batch, channels, height, width) = (lengths[0], lengths[1], lengths[2], lengths[3])
        let x = Tensor.random(Shape(lengths), seed: 1)
        let last = x.channelsLast()
        #expect(last.shape == [batch, height, width, channels])
        for place in [
            (0, 0, 0, 0), (batch - 1, channels - 1, height - 1, width - 1),
            (0, channels / 2, height / 2, width / 3),
        ] {
            #expect(
                last[place.0, place.2, place.3, place.1] == x[place.0, place.1, place.2, place.3])
        }
        expectSame(last.channelsFirst(), x)
    }

    @Test("the transpose of a matrix")
    func transpose() {
        let x = Tensor([1, 2, 3, 4, 5, 6], [2, 3])
        #expect(x.matrixTransposed().shape == [3, 2])
        #expect(x.matrixTransposed().elements == [1, 4, 2, 5, 3, 6])
    }

    @Test("pixels into channels as PyTorch orders them, and back", arguments: [1, 2, 3])
    func pixels(factor: Int) {
        let x = Tensor.random([2, 2 * factor, 3 * factor, 5], seed: 1)
        let y = x.pixelUnshuffled(factor)
        #expect(y.shape == [2, 2, 3, 5 * factor * factor])
        let (dy, dx) = (factor - 1, factor / 2)
        #expect(
            y[1, 1, 2, 4 * factor * factor + dy * factor + dx]
                == x[1, factor + dy, 2 * factor + dx, 4])
        expectSame(y.pixelShuffled(factor), x)
    }

    @Test("a convolution's weight in the order of channels-last windows", arguments: [1, 2, 3])
    func convolutionWeight(kernel: Int) {
        let weight = Tensor.random([4, 5, kernel, kernel], seed: 1)
        let got = Tensor.convolutionWeight(weight)
        #expect(got.shape == [4, kernel * kernel * 5])
        for output in 0..<4 {
            for channel in 0..<5 {
                for tap in 0..<kernel * kernel {
                    #expect(
                        got[output, tap * 5 + channel]
                            == weight[output, channel, tap / kernel, tap % kernel])
                }
            }
        }
    }
}
