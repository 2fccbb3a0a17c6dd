import TensorCore
import Testing
import WuerstchenNN

@Suite("Random parameters")
struct RandomParametersTests {
    private func values(
        _ seed: UInt64, _ name: String, _ shape: Shape, _ role: ParameterRole = .weight,
        _ initializer: Initializer? = nil
    ) throws -> [Float] {
        try Parameters.load(from: RandomParameters(seed: seed)) {
            try $0(name, shape, role: role, initializer: initializer)
        }.elements
    }

    @Test("seed and name decide, and nothing else")
    func reproducible() throws {
        let want = try values(1, "a.weight", [30, 20])
        #expect(try values(1, "a.weight", [30, 20]) == want)
        #expect(try values(2, "a.weight", [30, 20]) != want)
        #expect(try values(1, "b.weight", [30, 20]) != want)
        #expect(Set(want).count > 590, "places differ")
    }

    @Test("matrices keep the variance of features, and vectors stay near what changes nothing")
    func ranges() throws {
        // In more than one piece of work.
        let matrix = try values(1, "a.weight", [1000, 48, 2, 2])
        #expect(matrix.allSatisfy { abs($0) <= 0.125 })
        let variance = matrix.reduce(0) { $0 + $1 * $1 } / Float(matrix.count)
        #expect(abs(variance * 192 - 1) < 0.02)
        #expect(abs(matrix.reduce(0, +) / Float(matrix.count)) < 0.001)
        #expect(try values(1, "scale", [9], .norm).allSatisfy { abs($0 - 1) <= 0.05 })
        #expect(try values(1, "shift", [9], .norm, .zeros).allSatisfy { abs($0) <= 0.05 })
        #expect(try values(1, "bias", [9], .bias).allSatisfy { abs($0) <= 0.05 })
        #expect(
            try values(1, "variance", [9], .statistic, .ones).allSatisfy { abs($0 - 1) <= 0.05 })
        #expect(try values(1, "table", [20, 9], .embedding).allSatisfy { abs($0) <= 0.05 })
    }

    @Test("the last matrix is small where training begins with zeros")
    func lastLayer() throws {
        let plain = try values(1, "out", [40, 12], .outputWeight)
        let small = try values(1, "out", [40, 12], .outputWeight, .zeros)
        #expect(zip(small, plain).allSatisfy { abs($0 - 0.1 * $1) < 1e-6 })
        #expect(plain.contains { abs($0) > 0.4 })
    }
}
