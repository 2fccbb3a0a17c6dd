import CWuerstchenKernels
import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Kernels: the nearest code")
struct NearestKernelTests {
    /// On whole numbers distances are exact, and ties are frequent.
    @Test(
        "the nearest, and the first of several", arguments: KernelLevel.available,
        [1, 2, 3, 4, 5, 17])
    func nearest(level: KernelLevel, dimensions: Int) throws {
        var numbers = RandomNumbers(seed: dimensions)
        let (rows, count) = (41, 57)
        let x = numbers.smallIntegers(rows * dimensions)
        let codes = numbers.smallIntegers(count * dimensions)
        var indices = [Int32](repeating: -1, count: rows + 1)
        try level.kernels.nearest(&indices, x, rows, dimensions, codes, count)
        for row in 0..<rows {
            let distances = (0..<count).map { code in
                (0..<dimensions).reduce(Float(0)) { sum, axis in
                    let difference = x[row * dimensions + axis] - codes[code * dimensions + axis]
                    return sum + difference * difference
                }
            }
            let want = distances.indices.min { distances[$0] < distances[$1] }
            #expect(Int(indices[row]) == want)
        }
        #expect(indices[rows] == -1)
    }
}
