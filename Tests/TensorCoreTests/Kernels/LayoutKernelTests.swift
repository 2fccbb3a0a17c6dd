import CWuerstchenKernels
import Testing
import _WuerstchenTestSupport

@Suite("Kernels: layout")
struct LayoutKernelTests {
    @Test("transposing", arguments: [1, 2, 15, 16, 17, 40], [1, 3, 16, 33])
    func transpose(a: Int, b: Int) {
        let batch = 2
        let x = (0..<batch * a * b).map { Float($0) }
        var y = [Float](repeating: -1, count: x.count + 1)
        wk_transpose(&y, x, batch, a, b)
        for n in 0..<batch {
            for i in 0..<a {
                for j in 0..<b { #expect(y[(n * b + j) * a + i] == x[(n * a + i) * b + j]) }
            }
        }
        #expect(y[x.count] == -1)
    }

    @Test("pixels into channels and back", arguments: [1, 2, 3], [1, 3, 4])
    func pixelShuffle(r: Int, channels: Int) {
        let (height, width) = (2 * r, 3 * r)
        let x = (0..<height * width * channels).map { Float($0) }
        var y = [Float](repeating: -1, count: x.count + 1)
        wk_pixel_unshuffle(&y, x, height, width, channels, r)
        for i in 0..<height {
            for j in 0..<width {
                for c in 0..<channels {
                    let channel = c * r * r + i % r * r + j % r
                    let pixel = i / r * (width / r) + j / r
                    #expect(
                        y[pixel * channels * r * r + channel] == x[(i * width + j) * channels + c])
                }
            }
        }
        var back = [Float](repeating: -1, count: x.count + 1)
        wk_pixel_shuffle(&back, y, height / r, width / r, channels * r * r, r)
        #expect(back == x + [-1])
        #expect(y[x.count] == -1)
    }

    struct Windows: Sendable {
        let height: Int
        let width: Int
        let kernel: Int
        let stride: Int
        let top: Int
        let left: Int
        let outputWidth: Int
        let outputHeight: Int
    }

    @Test(
        "windows, wherever they leave the image",
        arguments: [
            Windows(
                height: 5, width: 4, kernel: 3, stride: 1, top: 1, left: 1, outputWidth: 4,
                outputHeight: 5),
            Windows(
                height: 5, width: 7, kernel: 2, stride: 2, top: 0, left: 0, outputWidth: 3,
                outputHeight: 2),
            Windows(
                height: 1, width: 1, kernel: 4, stride: 1, top: 2, left: 3, outputWidth: 3,
                outputHeight: 4),
            // Windows that lie outside altogether, on every side.
            Windows(
                height: 2, width: 3, kernel: 2, stride: 1, top: 4, left: 5, outputWidth: 13,
                outputHeight: 11),
        ], [1, 3, 5])
    func gatherWindows(shape: Windows, channels: Int) {
        var numbers = RandomNumbers(seed: channels)
        let x = numbers.floats(shape.height * shape.width * channels)
        let (kernel, positions) = (shape.kernel, shape.outputWidth * shape.outputHeight)
        var geometry = wk_windows(
            height: shape.height, width: shape.width, channels: channels, kernel: kernel,
            stride: shape.stride, top: shape.top, left: shape.left,
            output_width: shape.outputWidth)
        // In two parts, the second from the middle of a row on.
        let depth = kernel * kernel * channels
        let first = positions / 2
        var y = [Float](repeating: .nan, count: first * depth)
        wk_gather_windows(&y, x, 0, first, &geometry)
        var rest = [Float](repeating: .nan, count: (positions - first) * depth + 1)
        wk_gather_windows(&rest, x, first, positions - first, &geometry)
        #expect(rest.popLast()?.isNaN == true)
        y += rest
        for (place, value) in y.enumerated() {
            let window = place / depth
            let tap = place / channels % (kernel * kernel)
            let row = window / shape.outputWidth * shape.stride - shape.top + tap / kernel
            let column = window % shape.outputWidth * shape.stride - shape.left + tap % kernel
            let isInside = (0..<shape.height).contains(row) && (0..<shape.width).contains(column)
            let want =
                isInside ? x[(row * shape.width + column) * channels + place % channels] : 0
            #expect(value == want)
        }
    }
}
