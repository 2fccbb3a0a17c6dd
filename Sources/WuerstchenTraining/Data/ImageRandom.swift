/// Random numbers that depend on a seed and a few keys alone: SplitMix64 (Steele, Lea and Flood,
/// 2014). Swift's own shuffles may change between its versions, and a resumed training with them.
struct ImageRandom {
    /// What numbers are for, so that no two purposes share them.
    enum Purpose: UInt64 {
        case order, rounds, framing, holdingOut
    }

    private var state: UInt64

    init(seed: UInt64, _ purpose: Purpose, _ keys: Int...) {
        state = seed
        for key in [purpose.rawValue] + keys.map({ UInt64(bitPattern: Int64($0)) }) {
            state = next() ^ key
        }
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }

    /// A number in `0..<bound`; its bias is below `bound` in 2⁶⁴.
    mutating func below(_ bound: Int) -> Int {
        Int(next().multipliedFullWidth(by: UInt64(bound)).high)
    }

    /// The elements in random order.
    mutating func shuffled<Element>(_ elements: some Sequence<Element>) -> [Element] {
        var elements = Array(elements)
        for index in elements.indices.dropFirst().reversed() {
            elements.swapAt(index, below(index + 1))
        }
        return elements
    }
}
