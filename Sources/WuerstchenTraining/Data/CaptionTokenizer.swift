public import Foundation
private import TensorCore
private import Wuerstchen

/// A tokenizer in CLIP's layout that is learnt from captions: frequent words are one token each,
/// and anything else is spelt in smaller ones (byte-pair encoding: Sennrich, Haddow and Birch,
/// "Neural Machine Translation of Rare Words with Subword Units", 2016).
public struct CaptionTokenizer: Sendable {
    /// How many ids an encoding has, with the start and the end token.
    public let length: Int
    private let merges: [SymbolPair]

    static let startToken = "<|startoftext|>"
    static let endToken = "<|endoftext|>"
    private static let endOfWord = "</w>"

    /// A tokenizer for captions, long enough for the longest of them.
    ///
    /// - Parameters:
    ///   - captions: The captions.
    ///   - vocabularySize: The most symbols, of which 514 are bytes and special tokens.
    ///   - longest: The most ids of an encoding; CLIP's 77 unless text encoders can read more.
    public init(captions: [String], vocabularySize: Int = 8192, longest: Int = 77) {
        let pieces = captions.map { CLIPTokenizer.pieces(of: $0) }
        var counts: [[UInt8]: Int] = [:]
        for piece in pieces.joined() { counts[piece, default: 0] += 1 }
        var pairs = PairMerging(counts, Self.endOfWord)
        merges = pairs.merges(atMost: vocabularySize - 2 * Self.bytes.count - 2)
        let symbols = pairs.symbolCounts
        let tokens = pieces.map { $0.reduce(0) { $0 + (symbols[$1] ?? 0) } }.max() ?? 0
        // In eights, and with some room for longer prompts.
        length = min(longest, max(16, (tokens + 2 + 7) / 8 * 8))
    }

    /// A tokenizer for words that come up so often.
    ///
    /// - Parameters:
    ///   - words: How often each word comes up, by its UTF-8.
    ///   - length: How many ids an encoding has.
    ///   - vocabularySize: The most symbols.
    package init(words: [[UInt8]: Int], length: Int, vocabularySize: Int) {
        self.length = length
        var pairs = PairMerging(words, Self.endOfWord)
        merges = pairs.merges(atMost: vocabularySize - 2 * Self.bytes.count - 2)
    }

    /// The symbols in the order of their ids: bytes, bytes that end a word, merges, special tokens.
    package var vocabulary: [String] {
        // Two ways of merging may lead to one symbol.
        var known: Set<String> = []
        let merged = merges.map { $0.left + $0.right }.filter { known.insert($0).inserted }
        return Self.bytes + Self.bytes.map { $0 + Self.endOfWord } + merged
            + [Self.startToken, Self.endToken]
    }

    /// The printable characters that stand for the 256 bytes. They come in CLIP's order: first the
    /// bytes that stand for themselves, then the others, as the characters from U+0100 on.
    private static let bytes = CLIPTokenizer.byteAlphabet.sorted {
        $0.unicodeScalars.lexicographicallyPrecedes($1.unicodeScalars)
    }

    /// Writes the files that `CLIPTokenizer` reads, the same ones for the same captions.
    ///
    /// - Parameter directory: The folder, which is made if it does not exist.
    /// - Throws: `WuerstchenError` with code `unwritableFile`.
    public func write(to directory: URL) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let vocabulary = vocabulary
        let ids = Dictionary(uniqueKeysWithValues: zip(vocabulary, vocabulary.indices))
        let configuration = Settings(length: length, type: "CLIPTokenizer")
        let lines = ["#version: 0.2"] + merges.map { "\($0.left) \($0.right)" }
        try makeFolder(directory)
        for (name, contents) in [
            ("vocab.json", try encoder.encode(ids)),
            ("merges.txt", Data(lines.map { $0 + "\n" }.joined().utf8)),
            ("tokenizer_config.json", try encoder.encode(configuration)),
            ("special_tokens_map.json", try encoder.encode(Settings())),
        ] {
            try AtomicFile.replace(directory.appending(path: name), with: contents)
        }
    }

    /// `special_tokens_map.json`, or with what else is known `tokenizer_config.json`.
    private struct Settings: Encodable {
        let start = startToken
        let end = endToken
        let pad = endToken
        let unknown = endToken
        var length: Int?
        var type: String?

        enum CodingKeys: String, CodingKey {
            case start = "bos_token"
            case end = "eos_token"
            case pad = "pad_token"
            case unknown = "unk_token"
            case length = "model_max_length"
            case type = "tokenizer_class"
        }
    }
}

/// Two adjacent symbols.
struct SymbolPair: Hashable, Comparable {
    var left: String
    var right: String

    static func < (first: SymbolPair, second: SymbolPair) -> Bool {
        (first.left, first.right) < (second.left, second.right)
    }
}

/// Words as symbols, in which the most frequent pair is merged time and again, of several the
/// largest.
private struct PairMerging {
    private var words: [(bytes: [UInt8], symbols: [String], count: Int)]
    private var counts: [SymbolPair: Int] = [:]
    /// In which words a pair came up; it need not any more.
    private var places: [SymbolPair: Set<Int>] = [:]

    init(_ words: [[UInt8]: Int], _ endOfWord: String) {
        self.words = words.filter { !$0.key.isEmpty }
            .sorted { $0.key.lexicographicallyPrecedes($1.key) }
            .map { bytes, count in
                var symbols = bytes.map { CLIPTokenizer.byteAlphabet[Int($0)] }
                symbols[symbols.count - 1] += endOfWord
                return (bytes, symbols, count)
            }
        for index in self.words.indices { note(index, 1) }
    }

    /// How many symbols each word is made of.
    var symbolCounts: [[UInt8]: Int] {
        Dictionary(uniqueKeysWithValues: words.map { ($0.bytes, $0.symbols.count) })
    }

    /// Merges until every word is one symbol, or there are so many merges.
    mutating func merges(atMost limit: Int) -> [SymbolPair] {
        var merges: [SymbolPair] = []
        var known: Set<SymbolPair> = []
        while merges.count < limit,
            let best = counts.max(by: { ($0.value, $0.key) < ($1.value, $1.key) })
        {
            // Where a pair comes up anew, by a second way to one of its symbols, it is no new one.
            if known.insert(best.key).inserted { merges.append(best.key) }
            for index in places[best.key] ?? [] {
                note(index, -1)
                merge(best.key, in: &words[index].symbols)
                note(index, 1)
            }
        }
        return merges
    }

    /// Counts a word's pairs in, or out again.
    private mutating func note(_ index: Int, _ sign: Int) {
        let (symbols, count) = (words[index].symbols, words[index].count)
        for (left, right) in zip(symbols, symbols.dropFirst()) {
            let pair = SymbolPair(left: left, right: right)
            let sum = (counts[pair] ?? 0) + sign * count
            counts[pair] = sum == 0 ? nil : sum
            if sign > 0 { places[pair, default: []].insert(index) }
            if sum == 0 { places[pair] = nil }
        }
    }

    private func merge(_ pair: SymbolPair, in symbols: inout [String]) {
        var index = 0
        while index + 1 < symbols.count {
            if symbols[index] == pair.left, symbols[index + 1] == pair.right {
                symbols[index] += symbols.remove(at: index + 1)
            }
            index += 1
        }
    }
}
