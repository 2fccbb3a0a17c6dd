private import Foundation

/// PyTorch's CPU random generator: a seed gives the numbers that `torch.randn` and `torch.rand`
/// give with `torch.Generator("cpu").manual_seed(seed)`, to a few units in the last place.
///
/// It is the Mersenne Twister MT19937 (Matsumoto and Nishimura, 1998) under PyTorch's own ways of
/// making uniform and normal floats, whose outcome depends on how many numbers are asked for at
/// once. Only the low 32 bits of a seed count.
public struct TorchGenerator: Sendable {
    private var state: [UInt32]
    private var position: Int
    /// The second number of a pair made by the scalar method, kept for the next call.
    private var spare: Double?

    /// A generator as after `manual_seed(seed)`.
    public init(seed: UInt64) {
        var word = UInt32(truncatingIfNeeded: seed)
        state = [word]
        state.reserveCapacity(624)
        for index in 1..<624 {
            word = 1_812_433_253 &* (word ^ (word >> 30)) &+ UInt32(index)
            state.append(word)
        }
        position = 624
    }

    private mutating func nextWord() -> UInt32 {
        if position == 624 { refill() }
        var word = state[position]
        position += 1
        word ^= word >> 11
        word ^= (word << 7) & 0x9d2c_5680
        word ^= (word << 15) & 0xefc6_0000
        return word ^ (word >> 18)
    }

    private mutating func refill() {
        unsafe state.withUnsafeMutableBufferPointer { state in
            for index in 0..<624 {
                let joined =
                    unsafe (state[index] & 0x8000_0000) | (state[(index + 1) % 624] & 0x7fff_ffff)
                let twisted = (joined >> 1) ^ (joined & 1 == 0 ? 0 : 0x9908_b0df)
                unsafe state[index] = state[(index + 397) % 624] ^ twisted
            }
        }
        position = 0
    }

    private mutating func nextUniform() -> Float {
        Float(nextWord() & 0xff_ffff) * 0x1p-24
    }

    private mutating func nextDouble() -> Double {
        let high = UInt64(nextWord())
        let low = UInt64(nextWord())
        return Double((high << 32 | low) & ((1 << 53) - 1)) * 0x1p-53
    }

    /// Uniform numbers in 0..<1, as `torch.rand(count)`.
    public mutating func uniform(_ count: Int) -> [Float] {
        (0..<count).map { _ in nextUniform() }
    }

    /// Standard normal numbers, as `torch.randn(count)`.
    public mutating func normal(_ count: Int) -> [Float] {
        count < 16 ? (0..<count).map { _ in nextNormal() } : normalBlocks(count)
    }

    /// One number by Box and Muller's method (1958) in double precision.
    private mutating func nextNormal() -> Float {
        if let second = spare {
            spare = nil
            return Float(second)
        }
        let angle = 2 * Double.pi * nextDouble()
        let radius = (-2 * log1p(-nextDouble())).squareRoot()
        spare = radius * sin(angle)
        return Float(radius * cos(angle))
    }

    /// Sixteen numbers at a time, the first eight uniforms paired with the last eight. An
    /// incomplete last block is made of sixteen new uniforms over the last sixteen places.
    private mutating func normalBlocks(_ count: Int) -> [Float] {
        var values = uniform(count)
        for start in stride(from: 0, through: count - 16, by: 16) {
            TorchGenerator.transform(&values, from: start)
        }
        if count % 16 != 0 {
            for index in count - 16..<count { values[index] = nextUniform() }
            TorchGenerator.transform(&values, from: count - 16)
        }
        return values
    }

    private static func transform(_ values: inout [Float], from start: Int) {
        for index in start..<start + 8 {
            let radius = (-2 * log(Double(1 - values[index]))).squareRoot()
            let angle = 2 * Double.pi * Double(values[index + 8])
            values[index] = Float(radius * cos(angle))
            values[index + 8] = Float(radius * sin(angle))
        }
    }
}
