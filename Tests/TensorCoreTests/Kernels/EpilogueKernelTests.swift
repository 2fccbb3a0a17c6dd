import CWuerstchenKernels
import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Kernels: epilogue")
struct EpilogueKernelTests {
    private struct Parts: OptionSet, CaseIterable {
        let rawValue: Int
        static let scale = Parts(rawValue: 1)
        static let bias = Parts(rawValue: 2)
        static let residual = Parts(rawValue: 4)
        static let modulation = Parts(rawValue: 8)
        static let sumOfSquares = Parts(rawValue: 16)
        static let allCases = (0..<32).map(Parts.init)
    }

    private static let rows = 3
    private let gain: Float = 0.75

    @Test(
        "every combination of parts and every activation", arguments: KernelLevel.available,
        awkwardWidths)
    func everyPart(level: KernelLevel, columns: Int) throws {
        for parts in Parts.allCases {
            try check(level, columns, parts, activations[parts.rawValue % activations.count])
        }
        for activation in activations {
            try check(level, columns, Parts(rawValue: 31), activation)
            try check(level, columns, [], activation)
        }
    }

    private func check(
        _ level: KernelLevel, _ columns: Int, _ parts: Parts,
        _ kind: (kernel: wk_activation, activation: Activation)
    ) throws {
        let rows = EpilogueKernelTests.rows
        var numbers = RandomNumbers(seed: columns)
        var x = SpacedRows(numbers.floats(rows * columns, spread: 3), columns: columns)
        let residual = SpacedRows(numbers.floats(rows * columns), columns: columns, gap: 5)
        func floats(_ part: Parts, _ elements: [Float]) -> FixedFloats? {
            parts.contains(part) ? FixedFloats(elements) : nil
        }
        let scale = floats(.scale, numbers.floats(columns, centre: 1))
        let bias = floats(.bias, numbers.floats(columns))
        let added = floats(.residual, residual.memory)
        let factor = floats(.modulation, numbers.floats(columns))
        let summand = floats(.modulation, numbers.floats(columns))
        let sumsBefore = numbers.floats(columns, centre: 2)
        let sumOfSquares = floats(.sumOfSquares, sumsBefore)

        var steps = wk_epilogue(
            scale: scale?.base, bias: bias?.base, activation: kind.kernel, gain: gain,
            residual: added?.base, residual_ld: residual.stride, modulation_scale: factor?.base,
            modulation_shift: summand?.base, sum_of_squares: sumOfSquares?.base)
        var y = SpacedRows(rows: rows, columns: columns, gap: 4)
        try level.kernels.epilogue(
            &y.memory, y.stride, x.memory, x.stride, rows, columns, &steps)

        var sumsOfSquares = sumsBefore.map(Double.init)
        let want = x.elements.enumerated().map { index, value in
            let column = index % columns
            var y = Double(value) * (scale?.doubles[column] ?? 1) + (bias?.doubles[column] ?? 0)
            y = Twin.activate(y, kind.activation)
            sumsOfSquares[column] += y * y
            y = Double(gain) * y + (added == nil ? 0 : Double(residual.elements[index]))
            return y * (1 + (factor?.doubles[column] ?? 0)) + (summand?.doubles[column] ?? 0)
        }
        let comment = "\(kind.activation), parts \(parts.rawValue)"
        expectNear(y.elements, want, largest: 4e-6, comment)
        #expect(y.gapsAreUntouched, "\(comment)")
        if let sumOfSquares {
            expectNear(sumOfSquares.elements, sumsOfSquares, largest: 2e-5, comment)
        }

        let mark: UInt16 = 0x7fab
        var bfloat16 = [UInt16](repeating: mark, count: rows * y.stride)
        try level.kernels.epilogue_bfloat16(
            &bfloat16, y.stride, x.memory, x.stride, rows, columns, &steps)
        // The GELU of a result of eight bits is off by 1.9·10⁻⁴, and 1.5·10⁻⁵ of its argument,
        // before it is rounded; everything else is rounded from the same floats.
        let isShort = kind.activation == .gelu
        for (place, float) in y.memory.enumerated() {
            if place % y.stride >= columns {
                #expect(bfloat16[place] == mark, "\(comment)")
            } else if isShort {
                let error = abs(Twin.value(ofBFloat16: bfloat16[place]) - float)
                #expect(error <= 4e-4 + 0x1p-8 * abs(float), "\(comment), \(float)")
            } else {
                #expect(bfloat16[place] == Twin.bfloat16(float), "\(comment)")
            }
        }
        if let sumOfSquares {
            let twice = zip(sumsOfSquares, sumsBefore).map { 2 * $0 - Double($1) }
            expectNear(sumOfSquares.elements, twice, largest: isShort ? 3e-3 : 4e-5, comment)
        }

        // In place.
        try level.kernels.epilogue(
            &x.memory, x.stride, x.memory, x.stride, rows, columns, &steps)
        #expect(x.elements == y.elements && x.gapsAreUntouched, "\(comment)")
    }

    @Test("the result may lie where the residual lies", arguments: KernelLevel.available)
    func overResidual(level: KernelLevel) throws {
        let x = (0..<37).map { Float($0) }
        let y = FixedFloats(x.map { 100 * $0 })
        var steps = wk_epilogue()
        (steps.gain, steps.residual, steps.residual_ld) = (2, UnsafePointer(y.base), 37)
        try level.kernels.epilogue(y.base, 37, x, 37, 1, 37, &steps)
        #expect(y.elements == x.map { 102 * $0 })
    }

    @Test("no rows and no columns", arguments: KernelLevel.available)
    func nothing(level: KernelLevel) throws {
        var x: [Float] = [7]
        var steps = wk_epilogue()
        steps.gain = 2
        try level.kernels.epilogue(&x, 1, [1], 1, 0, 1, &steps)
        try level.kernels.epilogue(&x, 1, [1], 1, 1, 0, &steps)
        #expect(x == [7])
        var half: [UInt16] = [7]
        try level.kernels.epilogue_bfloat16(&half, 1, [1], 1, 0, 1, &steps)
        try level.kernels.epilogue_bfloat16(&half, 1, [1], 1, 1, 0, &steps)
        #expect(half == [7])
    }
}
