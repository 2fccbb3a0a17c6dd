public import Foundation
private import TensorCore
private import WuerstchenTraining

/// The tokenizer of the captions of scenes, in CLIP's layout: every word of a caption is one token,
/// and anything else is spelt in smaller ones.
public enum SceneTokenizer {
    /// How many ids an encoding has, with the start and the end token.
    static let length = 32

    private static let startToken = "<|startoftext|>"
    private static let endToken = "<|endoftext|>"
    private static let endOfWord = "</w>"

    /// Writes the files that `CLIPTokenizer` reads, the same ones every time.
    ///
    /// - Parameter directory: The folder, which is made if it does not exist.
    /// - Throws: `WuerstchenError` with code `unwritableFile`.
    public static func write(to directory: URL) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
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

    /// The symbols in the order of their ids: bytes, bytes that end a word, merges, special tokens.
    static let vocabulary: [String] =
        bytes + bytes.map { $0 + endOfWord } + merges.map { $0.left + $0.right }
        + [startToken, endToken]

    /// The printable characters that stand for the 256 bytes. They come in CLIP's order: first the
    /// bytes that stand for themselves, then the others, as the characters from U+0100 on.
    private static let bytes: [String] = {
        let printable: [UInt32] = Array(0x21...0x7E) + Array(0xA1...0xAC) + Array(0xAE...0xFF)
        let others = (0..<256 - UInt32(printable.count)).map { 0x100 + $0 }
        return (printable + others).compactMap { Unicode.Scalar($0).map { String($0) } }
    }()

    // MARK: - Merges

    /// Two adjacent symbols.
    private struct Pair: Hashable, Comparable {
        var left: String
        var right: String

        static func < (first: Pair, second: Pair) -> Bool {
            (first.left, first.right) < (second.left, second.right)
        }
    }

    /// Byte-pair encoding (Sennrich, Haddow and Birch, 2016): merges the most frequent pair, of
    /// several the largest, until every word is one symbol.
    private static let merges: [Pair] = {
        var words = wordCounts().sorted { $0.key < $1.key }.map { word, count in
            (
                symbols: word.dropLast().map { String($0) } + [word.suffix(1) + endOfWord],
                count: count
            )
        }
        var merges: [Pair] = []
        while true {
            var counts: [Pair: Int] = [:]
            for (symbols, count) in words {
                for (left, right) in zip(symbols, symbols.dropFirst()) {
                    counts[Pair(left: left, right: right), default: 0] += count
                }
            }
            let best = counts.max { ($0.value, $0.key) < ($1.value, $1.key) }
            guard let pair = best?.key else { return merges }
            merges.append(pair)
            for index in words.indices { merge(pair, in: &words[index].symbols) }
        }
    }()

    private static func merge(_ pair: Pair, in symbols: inout [String]) {
        var index = 0
        while index + 1 < symbols.count {
            if symbols[index] == pair.left, symbols[index + 1] == pair.right {
                symbols[index] += symbols.remove(at: index + 1)
            }
            index += 1
        }
    }

    /// How often captions have each of the grammar's words, and 1 for a word that came up in none.
    private static func wordCounts() -> [String: Int] {
        var counts = Dictionary(uniqueKeysWithValues: SceneCaption.words.map { ($0, 1) })
        var random = RandomStream(seed: 0, name: "words of captions")
        for _ in 0..<20_000 {
            let classes = SceneAttribute.allCases.map { random.integer(below: $0.classCount) }
            let caption = SceneCaption.draw(classes, &random).text
            for word in caption.split(whereSeparator: { $0 == " " || $0 == "," }) {
                counts[String(word), default: 0] += 1
            }
        }
        return counts
    }

    // MARK: - Settings

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
