private import Foundation
public import TensorCore

/// Random numbers for training: SplitMix64 (Steele, Lea and Flood, 2014), whose n-th number is a
/// hash of its place, so that large tensors are filled on several threads.
///
/// A stream is named by numbers, such as a seed and a step. What a step draws depends on those
/// alone, so that nothing about randomness need be saved to go on where training stopped.
public struct RandomStream: Sendable {
    private let key: UInt64
    private var place: UInt64 = 0

    /// The stream of the given name.
    public init(_ name: UInt64...) {
        var key: UInt64 = 0x243f_6a88_85a3_08d3
        for part in name { key = RandomStream.mixed(key ^ RandomStream.mixed(part)) }
        self.key = key
    }

    /// The stream of a seed and a text.
    public init(seed: UInt64, name: String) {
        var hash = FNV1a(seed ^ FNV1a.offsetBasis)
        hash.add(name.utf8)
        self.init(seed, hash.value)
    }

    private static func mixed(_ word: UInt64) -> UInt64 {
        SplitMix64.mixed(word &+ SplitMix64.increment)
    }

    private func word(at place: UInt64) -> UInt64 {
        RandomStream.mixed(key &+ place &* SplitMix64.increment)
    }

    /// The next 64 random bits.
    public mutating func next() -> UInt64 {
        defer { place += 1 }
        return word(at: place)
    }

    /// A number in 0..<1.
    public mutating func uniform() -> Float { Float(next() >> 40) * 0x1p-24 }

    /// A number in a range.
    public mutating func uniform(_ range: Range<Float>) -> Float {
        range.lowerBound + (range.upperBound - range.lowerBound) * uniform()
    }

    /// Numbers in 0..<1 that are equally far from each other, the last from the first around the
    /// ends: each is as likely to be anywhere as any other, and together they are everywhere.
    ///
    /// With times drawn so, a batch has a bit of every noise level, and its gradient varies less:
    /// the low-discrepancy sampler of Kingma et al., "Variational Diffusion Models", 2021.
    public mutating func spread(_ count: Int) -> [Float] {
        let first = uniform()
        return (0..<count).map { index in
            let number = first + Float(index) / Float(count)
            // Rounding may come to 1.
            return number < 1 ? number : max(0, number - 1)
        }
    }

    /// A whole number in 0..<limit.
    ///
    /// - Precondition: The limit is positive.
    public mutating func integer(below limit: Int) -> Int {
        Int(next().multipliedFullWidth(by: UInt64(limit)).high)
    }

    /// Standard normal numbers by Box and Muller's method (1958), two of each 64 bits.
    public mutating func normal(_ shape: Shape) -> Tensor {
        let first = place
        let count = shape.count
        place += UInt64((count + 1) / 2)
        return Tensor(shape) { target in
            let target = UnsafeSendable(target)
            let chunk = 1 << 14
            parallel((count + chunk - 1) / chunk) { index in
                for pair in index * chunk / 2..<min((count + 1) / 2, (index + 1) * chunk / 2) {
                    let bits = word(at: first + UInt64(pair))
                    let radius = sqrtf(-2 * logf((Float(bits >> 40) + 1) * 0x1p-24))
                    let angle = 2 * Float.pi * Float(bits & 0xff_ffff) * 0x1p-24
                    target.value[2 * pair] = radius * cosf(angle)
                    if 2 * pair + 1 < count { target.value[2 * pair + 1] = radius * sinf(angle) }
                }
            }
        }
    }

    /// Uniform numbers in `-spread ..< spread`.
    public mutating func uniform(_ shape: Shape, spread: Float) -> Tensor {
        Tensor(shape) { target in
            for index in target.indices { target[index] = spread * (2 * uniform() - 1) }
        }
    }
}

/// A buffer whose elements several threads write, each its own.
package struct UnsafeSendable: @unchecked Sendable {
    package let value: UnsafeMutableBufferPointer<Float>

    package init(_ value: UnsafeMutableBufferPointer<Float>) { self.value = value }
}
