import TensorCore

/// Random numbers that depend on a seed and a few keys alone. Swift's own shuffles may change
/// between its versions, and a resumed training with them.
struct ImageRandom {
    /// What numbers are for, so that no two purposes share them.
    enum Purpose: UInt64 {
        case order, rounds, framing, holdingOut, tags
    }

    private var generator: SplitMix64

    init(seed: UInt64, _ purpose: Purpose, _ keys: Int...) {
        generator = SplitMix64(state: seed)
        for key in [purpose.rawValue] + keys.map({ UInt64(bitPattern: Int64($0)) }) {
            generator = SplitMix64(state: generator.next() ^ key)
        }
    }

    mutating func next() -> UInt64 { generator.next() }

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
