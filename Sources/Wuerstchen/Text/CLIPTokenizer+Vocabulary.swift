internal import TensorCore

/// Ids of symbols, with the path of the file they come from.
struct Vocabulary {
    /// The largest id that is accepted.
    static let largestID = Int(Int32.max)

    let path: String
    private(set) var ids: [String: Int]
    private var symbols: [Int: String] = [:]

    /// One more than the largest id.
    var size: Int {
        (symbols.keys.max() ?? -1) + 1
    }

    /// Checks the numbers of a file: every id must be whole, in range and unique.
    init(_ ids: [String: Double], from path: String) throws {
        self.path = path
        self.ids = [:]
        self.ids.reserveCapacity(ids.count)
        symbols.reserveCapacity(ids.count)
        for (symbol, number) in ids {
            guard let id = Int(exactly: number) else {
                throw WuerstchenError(
                    .malformedFile,
                    "\(path) gives '\(symbol)' the id \(number); expected a whole number")
            }
            try insert(symbol, id: id, from: path)
        }
    }

    /// Adds a symbol, or confirms one that is there.
    mutating func insert(_ symbol: String, id: Int, from path: String) throws {
        guard (0...Self.largestID).contains(id) else {
            throw WuerstchenError(
                .invalidVocabulary,
                "\(path) gives '\(symbol)' the id \(id); expected 0 to \(Self.largestID)")
        }
        if let other = symbols[id], other != symbol {
            let pair = [symbol, other].sorted()
            throw WuerstchenError(
                .invalidVocabulary,
                "\(path) gives '\(pair[0])' the id \(id), which '\(pair[1])' has too; "
                    + "every id must be unique")
        }
        if let known = ids[symbol], known != id {
            throw WuerstchenError(
                .invalidVocabulary,
                "\(path) gives '\(symbol)' the id \(id), but in \(self.path) it is \(known)")
        }
        ids[symbol] = id
        symbols[id] = symbol
    }

    /// Refuses an empty list of merges with words that only merges lead to: it is not the one that
    /// the vocabulary was made with.
    func requireMerges(_ merges: MergeList) throws {
        guard merges.pairs.isEmpty else { return }
        let end = BytePairEncoding.endOfWord
        let words = ids.keys.filter { symbol in
            let word = symbol.hasSuffix(end) ? symbol.dropLast(end.count) : symbol[...]
            return word.unicodeScalars.count > 1 && !word.hasPrefix("<|")
        }
        guard let word = words.min() else { return }
        throw WuerstchenError(
            .invalidVocabulary,
            "\(merges.path) has no merges, but \(path) has symbols that are merged from others "
                + "(\(words.count), such as '\(word)'); download it again")
    }

    /// The id of a special token.
    func id(of token: String, as role: String) throws -> Int {
        if let id = ids[token] { return id }
        throw WuerstchenError(
            .invalidVocabulary,
            "the \(role) '\(token)' is not in the vocabulary of \(path)")
    }
}

/// The pairs of symbols to merge in order, with the path of the file they come from.
struct MergeList {
    typealias Pair = (left: String, right: String)

    let path: String
    let pairs: [Pair]
    /// What the file counts its merges in, and the number of the first one.
    private let unit: String
    private let first: Int

    /// What to call a merge in a message.
    func place(of rank: Int) -> String {
        "\(path), \(unit) \(rank + first),"
    }

    /// Reads the lines of `merges.txt`: two symbols each, after an optional `#version` header.
    init(lines text: String, from path: String) throws {
        var lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { $0.last == UInt8(ascii: "\r") ? $0.dropLast() : $0 }
        while lines.last?.isEmpty == true { lines.removeLast() }
        let hasHeader = lines.first?.starts(with: "#version".utf8) == true
        let first = hasHeader ? 2 : 1

        self.path = path
        self.unit = "line"
        self.first = first
        pairs = try lines.dropFirst(hasHeader ? 1 : 0).enumerated().map { index, line in
            let symbols = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            guard let pair = Self.pair(symbols.map { String(Substring($0)) }) else {
                throw WuerstchenError(
                    .malformedFile,
                    "\(path), line \(index + first), is '\(Substring(line.prefix(80)))'; "
                        + "expected two symbols with one space between them")
            }
            return pair
        }
    }

    /// Takes the merges of `tokenizer.json`, each already divided into its symbols.
    init(entries: [[String]], from path: String) throws {
        self.path = path
        unit = "merge"
        first = 0
        pairs = try entries.enumerated().map { index, symbols in
            guard let pair = Self.pair(symbols) else {
                throw WuerstchenError(
                    .malformedFile,
                    "\(path), merge \(index), is \(symbols); expected two symbols")
            }
            return pair
        }
    }

    private static func pair(_ symbols: [String]) -> Pair? {
        guard symbols.count == 2, symbols.allSatisfy({ !$0.isEmpty }) else { return nil }
        return (symbols[0], symbols[1])
    }
}
