internal import TensorCore

/// Byte-pair encoding of one piece of text: bytes become symbols, and the adjacent pair that comes
/// first in the merge table is merged, the leftmost one first, until no pair is in the table.
struct BytePairEncoding: Sendable {
    /// The suffix of symbols that end a word.
    static let endOfWord = "</w>"

    private struct Merge {
        var rank: Int
        var result: Int
    }

    /// Ids of the symbols of single bytes: 256 inside a word, then 256 at its end.
    private let byteSymbols: [Int]
    private let merges: [UInt64: Merge]
    /// No symbol stands for more bytes than this.
    private let longestSymbol: Int

    /// Builds the tables.
    ///
    /// - Parameters:
    ///   - vocabulary: The ids of all symbols.
    ///   - merges: The pairs of symbols to merge, the most urgent first.
    ///   - unknown: The id of bytes whose symbol is not in the vocabulary.
    /// - Throws: `invalidVocabulary` if a merge occurs twice or needs a symbol that is not there.
    init(vocabulary: Vocabulary, merges: MergeList, unknown: Int) throws {
        let alphabet = CLIPTokenizer.byteAlphabet
        byteSymbols = ["", Self.endOfWord].flatMap { suffix in
            alphabet.map { vocabulary.ids[$0 + suffix] ?? unknown }
        }

        var table: [UInt64: Merge] = [:]
        table.reserveCapacity(merges.pairs.count)
        var longest = 1
        for (rank, pair) in merges.pairs.enumerated() {
            func id(of symbol: String) throws -> Int {
                if let id = vocabulary.ids[symbol] { return id }
                throw WuerstchenError(
                    .invalidVocabulary,
                    "\(merges.place(of: rank)) merges '\(pair.left)' and '\(pair.right)', but "
                        + "'\(symbol)' is not in the vocabulary of \(vocabulary.path)")
            }
            let joined = pair.left + pair.right
            let merge = Merge(rank: rank, result: try id(of: joined))
            let key = try Self.key(id(of: pair.left), id(of: pair.right))
            if let earlier = table.updateValue(merge, forKey: key) {
                throw WuerstchenError(
                    .invalidVocabulary,
                    "\(merges.place(of: rank)) repeats \(merges.place(of: earlier.rank)), "
                        + "'\(pair.left) \(pair.right)'; every merge must be unique")
            }
            longest = max(longest, joined.unicodeScalars.count)
        }
        self.merges = table
        longestSymbol = longest
    }

    /// The ids of a piece of text.
    ///
    /// - Parameters:
    ///   - bytes: The piece in UTF-8.
    ///   - endsWord: Whether the last byte ends a word, as it does unless the piece goes on.
    /// - Returns: At least one id, unless there are no bytes.
    func encode(_ bytes: some BidirectionalCollection<UInt8>, endsWord: Bool) -> [Int] {
        var symbols = bytes.map { byteSymbols[Int($0)] }
        guard let last = bytes.last else { return [] }
        if endsWord {
            symbols[symbols.count - 1] = byteSymbols[256 + Int(last)]
        }

        // The symbols form a list linked by position, so that a merge moves nothing.
        let end = symbols.count
        var next = Array(1...end)
        var previous = Array(-1..<(end - 1))
        var isMerged = Array(repeating: false, count: end)
        var candidates = BinaryHeap<MergeCandidate>(by: <)

        func merge(at position: Int) -> Merge? {
            guard position >= 0, next[position] < end else { return nil }
            return merges[Self.key(symbols[position], symbols[next[position]])]
        }
        for position in 0..<end {
            if let merge = merge(at: position) {
                candidates.insert(MergeCandidate(rank: merge.rank, position: position))
            }
        }
        while let candidate = candidates.removeFirst() {
            let position = candidate.position
            // Merges since then may have changed the pair that was seen here.
            guard !isMerged[position], let best = merge(at: position), best.rank == candidate.rank
            else { continue }
            let right = next[position]
            symbols[position] = best.result
            isMerged[right] = true
            next[position] = next[right]
            if next[right] < end { previous[next[right]] = position }
            for changed in [previous[position], position] {
                if let merge = merge(at: changed) {
                    candidates.insert(MergeCandidate(rank: merge.rank, position: changed))
                }
            }
        }
        return symbols.indices.filter { !isMerged[$0] }.map { symbols[$0] }
    }

    /// The first ids of a piece of which only the start is known, or nil if the start does not
    /// determine them.
    ///
    /// No merge spans a boundary between two symbols of the final encoding, so whatever precedes
    /// the boundary is encoded as if nothing followed. Where the boundaries of the whole piece are
    /// is not known, but one of any `longestSymbol` consecutive positions is one. Hence ids that
    /// come out alike for a cut at each of these positions are those of the whole piece.
    ///
    /// - Parameters:
    ///   - bytes: The start of the piece in UTF-8, without at least its last byte.
    ///   - count: How many ids to give.
    /// - Returns: The first `count` ids of the piece, or nil.
    func firstIDs(ofTextStartingWith bytes: [UInt8], count: Int) -> [Int]? {
        guard bytes.count >= longestSymbol else { return nil }
        var agreed: ArraySlice<Int>?
        for end in (bytes.count - longestSymbol + 1)...bytes.count {
            let ids = encode(bytes[..<end], endsWord: false).prefix(count)
            guard ids.count == count, agreed == nil || agreed == ids else { return nil }
            agreed = ids
        }
        return agreed.map(Array.init)
    }

    /// The key of a pair in the merge table. Ids are checked to fit 31 bits when they are read.
    private static func key(_ left: Int, _ right: Int) -> UInt64 {
        UInt64(left) << 32 | UInt64(right)
    }
}

extension CLIPTokenizer {
    /// The printable character that stands for each byte in vocabularies: itself where it is
    /// visible in Latin-1, and otherwise the next free one from U+0100 on.
    package static let byteAlphabet: [String] = {
        var substitute: UInt32 = 0x100
        return (UInt32(0)...255).map { byte in
            switch byte {
            case 33...126, 161...172, 174...255:
                return String(Character(Unicode.Scalar(UInt8(byte))))
            default:
                defer { substitute += 1 }
                return Unicode.Scalar(substitute).map { String(Character($0)) } ?? ""
            }
        }
    }()
}

/// A merge that may be done: the lowest rank comes first, and the leftmost among equals.
private struct MergeCandidate: Comparable {
    var rank: Int
    var position: Int

    static func < (a: Self, b: Self) -> Bool {
        a.rank == b.rank ? a.position < b.position : a.rank < b.rank
    }
}
