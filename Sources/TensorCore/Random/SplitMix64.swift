/// The generator SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
/// Generators", 2014). Unlike Swift's own generators it gives the same numbers in every version and
/// on every machine.
package struct SplitMix64: RandomNumberGenerator, Sendable {
    /// What the state grows by from one number to the next.
    @inlinable package static var increment: UInt64 { 0x9e37_79b9_7f4a_7c15 }

    private var state: UInt64

    /// A generator that begins with any state.
    package init(state: UInt64) {
        self.state = state
    }

    /// The next 64 random bits.
    package mutating func next() -> UInt64 {
        state &+= Self.increment
        return Self.mixed(state)
    }

    /// The generator's last step: a hash of 64 bits. The n-th number of a generator is that of its
    /// first state plus n increments, so that a number can be had without those before it.
    @inlinable package static func mixed(_ word: UInt64) -> UInt64 {
        var word = word
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }
}
