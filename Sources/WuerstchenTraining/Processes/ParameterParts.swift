internal import TensorCore

/// The parameters of a training in parts, one for each process: it alone moves them, and keeps what
/// the optimiser remembers of them (Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training
/// Trillion Parameter Models", 2020, its first stage).
///
/// Parts are halves of halves, each of about as many numbers as the other. Parameters that are used
/// one after the other, whose gradients come together, fall to either: every process then sends and
/// receives at once.
struct ParameterParts {
    /// How many there are.
    let count: Int
    private let parts: [String: Int]

    /// Parts of about as many numbers each.
    ///
    /// - Parameters:
    ///   - sizes: How many numbers each parameter has, by name.
    ///   - count: How many parts there are.
    init(_ sizes: [String: Int], count: Int) {
        self.count = count
        var parts: [String: Int] = [:]
        /// Deals names out, the largest parameters first.
        func deal(_ names: [String], to range: Range<Int>) {
            guard range.count > 1 else {
                for name in names { parts[name] = range.lowerBound }
                return
            }
            var (halves, lengths) = ([[String]](repeating: [], count: 2), [0, 0])
            for name in names {
                let half = lengths[0] <= lengths[1] ? 0 : 1
                halves[half].append(name)
                lengths[half] += sizes[name] ?? 0
            }
            let middle = range.lowerBound + range.count / 2
            deal(halves[0], to: range.lowerBound..<middle)
            deal(halves[1], to: middle..<range.upperBound)
        }
        let order = sizes.map { name, size in
            // Among those of one size in an order without meaning, which is the same everywhere.
            var hash = FNV1a()
            hash.add(name.utf8)
            return (-size, SplitMix64.mixed(hash.value), name)
        }
        deal(order.sorted { $0 < $1 }.map(\.2), to: 0..<count)
        self.parts = parts
    }

    /// The part that a parameter is in, which is the rank of its process.
    subscript(name: String) -> Int { parts[name] ?? 0 }

    /// All parts but a parameter's own.
    func others(than name: String) -> [Int] { (0..<count).filter { $0 != self[name] } }
}
