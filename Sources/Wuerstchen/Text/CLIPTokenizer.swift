public import Foundation

/// Turns a prompt into the token ids that a CLIP text encoder reads.
///
/// This is the lower-cased byte-pair encoding of CLIP (Radford et al. 2021), as the *fast*
/// tokenizer does it: Unicode NFC, white space collapsed, lower case one scalar at a time, a split
/// into letter runs, single digits and symbol runs, then byte-pair merges within each piece.
/// Nothing is unescaped, transliterated or repaired. The vocabulary, the merges, the length and the
/// special tokens all come from the tokenizer's files.
public struct CLIPTokenizer: Sendable {
    /// The ids and mask of one prompt.
    public struct Encoding: Sendable, Hashable {
        /// ``CLIPTokenizer/length`` ids: start token, text, end token, padding.
        public let ids: [Int]
        /// How many of ``ids`` come before the padding, from 2 to ``CLIPTokenizer/length``.
        public let count: Int
        /// Whether the end of the text did not fit and was cut off.
        public let isTruncated: Bool

        /// One value for each id: true up to and including the end token, false on padding.
        public var mask: [Bool] {
            ids.indices.map { $0 < count }
        }
    }

    /// How many ids every encoding has (`model_max_length`), at least 2.
    public let length: Int
    /// One more than the largest id: the rows that a token embedding needs.
    public let vocabularySize: Int
    /// The id that every encoding starts with (`bos_token`).
    public let startToken: Int
    /// The id that ends the text (`eos_token`).
    public let endToken: Int
    /// The id that fills an encoding up to ``length`` (`pad_token`).
    public let padToken: Int

    let addedTokens: AddedTokens
    let encoder: BytePairEncoding

    /// Reads a tokenizer from its files.
    ///
    /// The vocabulary and the merges are read from `vocab.json` and `merges.txt`, or from
    /// `tokenizer.json` if one of these is missing. The length and the special tokens come from
    /// `tokenizer_config.json` and `special_tokens_map.json` (which has the last word on the
    /// tokens); without them they are CLIP's: 77, `<|startoftext|>` and `<|endoftext|>`. A length
    /// beyond a million stands for "unknown" and gives 77. `added_tokens` of `tokenizer.json` says
    /// which tokens are recognised inside a prompt, and whether before or after normalisation.
    ///
    /// - Parameter directory: The folder with the files.
    /// - Throws: A `WuerstchenError` that names the file: `fileNotFound` or `unreadableFile`,
    ///   `malformedFile` if the file is not of the expected format, and `invalidVocabulary` if its
    ///   contents contradict themselves or the other files.
    public init(contentsOf directory: URL) throws {
        let files = try TokenizerFiles(directory: directory)
        let (vocabulary, merges) = try files.vocabularyAndMerges()
        let settings = try files.settings()

        let unknown = try vocabulary.id(of: settings.unknownToken, as: "unk_token")
        encoder = try BytePairEncoding(vocabulary: vocabulary, merges: merges, unknown: unknown)
        addedTokens = AddedTokens(try files.addedTokens(settings, vocabulary))
        length = settings.length
        vocabularySize = vocabulary.size
        startToken = try vocabulary.id(of: settings.startToken, as: "bos_token")
        endToken = try vocabulary.id(of: settings.endToken, as: "eos_token")
        padToken = try vocabulary.id(of: settings.padToken, as: "pad_token")
    }

    /// The ids of a prompt, cut or padded to ``length``.
    ///
    /// Every string has an encoding. A text that is too long keeps its first `length - 2` ids; what
    /// comes after them is not read, so the time taken hardly depends on the length of the text.
    ///
    /// - Parameter text: The prompt. Special tokens written in it become their ids.
    /// - Returns: The ids, with the number of them that are not padding.
    public func encode(_ text: String) -> Encoding {
        let capacity = length - 2
        var ids: [Int] = []
        var reader = PieceReader(text, addedTokens: addedTokens)
        // One id more than fits is enough to know that the text is cut.
        while ids.count <= capacity, let piece = reader.next() {
            switch piece {
            case .addedToken(let id):
                ids.append(id)
            case .piece(let piece):
                ids += encode(piece, from: &reader, atLeast: capacity + 1 - ids.count)
            }
        }
        let kept = [startToken] + ids.prefix(capacity) + [endToken]
        return Encoding(
            ids: kept + Array(repeating: padToken, count: length - kept.count),
            count: kept.count,
            isTruncated: ids.count > capacity)
    }

    /// The ids of one piece, or no more than the first `count` of them if the piece is very long.
    private func encode(
        _ piece: PieceReader.Piece, from reader: inout PieceReader, atLeast count: Int
    ) -> [Int] {
        var bytes: [UInt8] = []
        for limit in [1 << 10, 1 << 13, 1 << 16] {
            if reader.read(piece, into: &bytes, limit: limit) {
                return encoder.encode(bytes, endsWord: true)
            }
            if let ids = encoder.firstIDs(ofTextStartingWith: bytes, count: count) {
                return ids
            }
        }
        _ = reader.read(piece, into: &bytes, limit: .max)
        return encoder.encode(bytes, endsWord: true)
    }
}
