package import TensorCore

/// Reproducible numbers for tests: SplitMix64 (Steele, Lea and Flood, 2014).
package struct RandomNumbers {
    private var state: UInt64

    package init(seed: Int) {
        state = UInt64(bitPattern: Int64(seed))
    }

    private mutating func nextWord() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }

    /// Uniform numbers in `centre − spread ..< centre + spread`.
    package mutating func floats(_ count: Int, spread: Float = 1, centre: Float = 0) -> [Float] {
        (0..<count).map { _ in
            centre + spread * (Float(nextWord() >> 40) * 0x1p-23 - 1)
        }
    }

    /// Whole numbers −3 … 3, whose small sums and products floats hold exactly.
    package mutating func smallIntegers(_ count: Int) -> [Float] {
        (0..<count).map { _ in Float(Int(nextWord() % 7) - 3) }
    }
}

extension Tensor {
    /// Uniform numbers in `centre − spread ..< centre + spread`, the same for the same seed.
    package static func random(
        _ shape: Shape, seed: Int, spread: Float = 1, centre: Float = 0
    ) -> Tensor {
        var numbers = RandomNumbers(seed: seed)
        return Tensor(numbers.floats(shape.count, spread: spread, centre: centre), shape)
    }
}
