import CWuerstchenKernels
import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Kernels: layer norm")
struct LayerNormKernelTests {
    @Test("rows of every width", arguments: KernelLevel.available, awkwardWidths)
    func rows(level: KernelLevel, columns: Int) throws {
        var numbers = RandomNumbers(seed: columns)
        let x = SpacedRows(numbers.floats(4 * columns, spread: 2, centre: 5), columns: columns)
        let weight = numbers.floats(columns)
        let bias = numbers.floats(columns)
        for isAffine in [false, true] {
            var y = SpacedRows(rows: 4, columns: columns)
            try level.kernels.layer_norm(
                &y.memory, y.stride, x.memory, x.stride, 4, columns, 1e-3, 1.5, -0.25,
                isAffine ? weight : nil, isAffine ? bias : nil)
            let want = (0..<4).flatMap { row in
                let part = x.elements[row * columns..<(row + 1) * columns].map(Double.init)
                let normed = Twin.layerNorm(part, epsilon: 1e-3, scale: 1.5, shift: -0.25)
                return normed.enumerated().map { column, value in
                    isAffine ? value * Double(weight[column]) + Double(bias[column]) : value
                }
            }
            expectNear(y.elements, want, largest: 1e-5, "affine: \(isAffine)")
            #expect(y.gapsAreUntouched)
        }
    }

    @Test("in place", arguments: KernelLevel.available, [37, 64])
    func inPlace(level: KernelLevel, columns: Int) throws {
        var numbers = RandomNumbers(seed: 1)
        var x = SpacedRows(numbers.floats(3 * columns), columns: columns)
        var y = x
        try level.kernels.layer_norm(
            &y.memory, y.stride, x.memory, x.stride, 3, columns, 1e-6, 1, 0, nil, nil)
        try level.kernels.layer_norm(
            &x.memory, x.stride, x.memory, x.stride, 3, columns, 1e-6, 1, 0, nil, nil)
        #expect(x.elements == y.elements)
    }

    /// E[x²] − mean² in floats would leave nothing of this variance.
    @Test("a mean far larger than the spread", arguments: KernelLevel.available)
    func largeMean(level: KernelLevel) throws {
        let x = (0..<100).map { Float(4096) + Float($0 % 7) / 8 }
        var y = [Float](repeating: .nan, count: 100)
        try level.kernels.layer_norm(&y, 100, x, 100, 1, 100, 1e-6, 1, 0, nil, nil)
        expectNear(y, Twin.layerNorm(x.map(Double.init), epsilon: 1e-6), largest: 2e-3)
    }

    @Test("equal elements give the shift", arguments: KernelLevel.available)
    func constant(level: KernelLevel) throws {
        let x = [Float](repeating: 3.5, count: 33)
        var y = [Float](repeating: .nan, count: 33)
        try level.kernels.layer_norm(&y, 33, x, 33, 1, 33, 1e-6, 2, 0.5, nil, nil)
        #expect(y.allSatisfy { $0 == 0.5 })
    }
}
