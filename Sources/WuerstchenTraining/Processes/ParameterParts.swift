internal import TensorCore

/// The parameters of a training in parts, one for each process: it alone moves them, and keeps what
/// the optimiser remembers of them (Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training
/// Trillion Parameter Models", 2020, its first stage).
///
/// A part is a run of names in their order. Those of twice as many processes lie within these.
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
        let names = sizes.keys.sorted()
        var ends = [0]
        for name in names { ends.append(ends[ends.count - 1] + (sizes[name] ?? 0)) }
        let total = ends[ends.count - 1]
        var (parts, index) = ([String: Int](), 0)
        for part in 0..<count {
            // Up to the end that is nearest to where the part would end by its share.
            func distance(_ end: Int) -> Int { abs(end * count - total * (part + 1)) }
            var end = index
            while end < names.count, distance(ends[end + 1]) < distance(ends[end]) { end += 1 }
            if part == count - 1 { end = names.count }
            for name in names[index..<end] { parts[name] = part }
            index = end
        }
        self.parts = parts
    }

    /// The part that a parameter is in, which is the rank of its process.
    subscript(name: String) -> Int { parts[name] ?? 0 }

    /// All parts but a parameter's own.
    func others(than name: String) -> [Int] { (0..<count).filter { $0 != self[name] } }
}
