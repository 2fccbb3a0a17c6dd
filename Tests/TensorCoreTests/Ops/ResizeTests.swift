import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Resizing")
struct ResizeTests {
    /// Each kind by how it resamples one axis from and to given numbers of positions.
    private static let kinds: [@Sendable (Int, Int) -> Resampling] = [
        { .bilinear(from: $0, to: $1) }, { .antialiasedBilinear(from: $0, to: $1) },
        { .antialiasedBicubic(from: $0, to: $1) },
    ]

    private func resized(_ x: Tensor, _ height: Int, _ width: Int, kind: Int) -> Tensor {
        let resample = ResizeTests.kinds[kind]
        return x.resized(rows: resample(x.shape[1], height), columns: resample(x.shape[2], width))
    }

    @Test(
        "a constant stays what it is", arguments: 0..<3,
        [[1, 1], [1, 7], [5, 3], [12, 31], [2, 2]])
    func constant(kind: Int, size: [Int]) {
        let x = Tensor(repeating: 0.7, [2, 5, 3, 4])
        let got = resized(x, size[0], size[1], kind: kind)
        #expect(got.shape == [2, size[0], size[1], 4])
        #expect(got.elements.allSatisfy { abs($0 - 0.7) < 1e-6 })
    }

    @Test("the same size changes nothing", arguments: 0..<3)
    func sameSize(kind: Int) {
        let x = Tensor.random([2, 5, 7, 3], seed: 1)
        #expect(resized(x, 5, 7, kind: kind).elements == x.elements)
    }

    /// Rows and columns do not depend on each other, and pixels not on other samples or channels.
    @Test("turning the image turns the result", arguments: 0..<3)
    func turned(kind: Int) {
        let x = Tensor.random([5, 7, 1, 1], seed: 1).reshaped(to: [1, 5, 7, 1])
        let turned = x.reshaped(to: [5, 7]).matrixTransposed().reshaped(to: [1, 7, 5, 1])
        let got = resized(x, 3, 11, kind: kind)
        let other = resized(turned, 11, 3, kind: kind)
        expectNear(
            other.reshaped(to: [11, 3]).matrixTransposed().elements, got.doubles, largest: 1e-6)
    }

    @Test(
        "bilinear, against PyTorch's rule at every position", arguments: [1, 2, 5, 9], [1, 3, 8])
    func bilinear(from count: Int, to target: Int) {
        let x = Tensor.random([1, 1, count, 2], seed: 1)
        let got = resized(x, 1, target, kind: 0)
        for position in 0..<target {
            let centre = max(0, (Double(position) + 0.5) * Double(count) / Double(target) - 0.5)
            let left = min(Int(centre), count - 1)
            let right = min(left + 1, count - 1)
            for channel in 0..<2 {
                let (a, b) = (Double(x[0, 0, left, channel]), Double(x[0, 0, right, channel]))
                let want = a + (b - a) * min(1, centre - Double(left))
                #expect(abs(Double(got[0, 0, position, channel]) - want) < 1e-6)
            }
        }
    }

    @Test("halving with a widened triangle weighs four neighbours")
    func halving() {
        // Weights 1, 3, 3, 1 of eighths; at the border the part outside is left out.
        let x = Tensor([8, 16, 24, 32, 40, 48], [1, 1, 6, 1])
        let got = resized(x, 1, 3, kind: 1).elements
        let want: [Double] = [
            (3 * 8 + 3 * 16 + 24) / 7, (16 + 3 * 24 + 3 * 32 + 40) / 8, (32 + 3 * 40 + 3 * 48) / 7,
        ]
        expectNear(got, want, largest: 1e-5)
    }
}
