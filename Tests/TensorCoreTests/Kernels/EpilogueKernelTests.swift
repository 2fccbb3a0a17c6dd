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
        static let energy = Parts(rawValue: 16)
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
        let before = x.elements
        let residual = SpacedRows(numbers.floats(rows * columns), columns: columns, gap: 5)
        func floats(_ part: Parts, _ elements: [Float]) -> FixedFloats? {
            parts.contains(part) ? FixedFloats(elements) : nil
        }
        let scale = floats(.scale, numbers.floats(columns, centre: 1))
        let bias = floats(.bias, numbers.floats(columns))
        let added = floats(.residual, residual.memory)
        let factor = floats(.modulation, numbers.floats(columns))
        let summand = floats(.modulation, numbers.floats(columns))
        let energyBefore = numbers.floats(columns, centre: 2)
        let energy = floats(.energy, energyBefore)

        var steps = wk_epilogue(
            scale: scale?.base, bias: bias?.base, activation: kind.kernel, gain: gain,
            residual: added?.base, residual_ld: residual.stride, modulation_scale: factor?.base,
            modulation_shift: summand?.base, energy: energy?.base)
        try level.kernels.epilogue(&x.memory, x.stride, rows, columns, &steps)

        var energies = energyBefore.map(Double.init)
        let want = before.enumerated().map { index, value in
            let column = index % columns
            var y = Double(value) * (scale?.doubles[column] ?? 1) + (bias?.doubles[column] ?? 0)
            y = Twin.activate(y, kind.activation)
            energies[column] += y * y
            y = Double(gain) * y + (added == nil ? 0 : Double(residual.elements[index]))
            return y * (1 + (factor?.doubles[column] ?? 0)) + (summand?.doubles[column] ?? 0)
        }
        let comment = "\(kind.activation), parts \(parts.rawValue)"
        expectNear(x.elements, want, largest: 4e-6, comment)
        #expect(x.gapsAreUntouched, "\(comment)")
        if let energy { expectNear(energy.elements, energies, largest: 2e-5, comment) }
    }

    @Test("no rows and no columns", arguments: KernelLevel.available)
    func nothing(level: KernelLevel) throws {
        var x: [Float] = [7]
        var steps = wk_epilogue()
        steps.gain = 2
        try level.kernels.epilogue(&x, 1, 0, 1, &steps)
        try level.kernels.epilogue(&x, 1, 1, 0, &steps)
        #expect(x == [7])
    }
}
