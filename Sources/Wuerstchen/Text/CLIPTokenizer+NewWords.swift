package import Foundation
internal import TensorCore

extension CLIPTokenizer {
    /// The words of some captions that have no token of their own: those that are cut to pieces, or
    /// spelt with what stands for the unknown.
    ///
    /// - Parameters:
    ///   - captions: The captions.
    ///   - fewest: How many captions a word must be in.
    ///   - most: The most words. The most frequent come first, of equally frequent ones the first
    ///     of the alphabet.
    /// - Returns: The words in lower case.
    package func wordsWithoutToken(
        in captions: [String], fewest: Int, most: Int
    ) -> [String] {
        var counts: [String: Int] = [:]
        for caption in captions {
            let words = Self.pieces(of: caption).filter(Self.isWord)
            for word in Set(words) {
                counts[String(decoding: word, as: UTF8.self), default: 0] += 1
            }
        }
        return counts.filter { $0.value >= fewest && !hasToken($0.key) }
            .sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            .prefix(most).map(\.key)
    }

    private static func isWord(_ piece: [UInt8]) -> Bool {
        // Names of files and lines of the alphabet are no words.
        guard piece.count <= 64,
            let first = String(decoding: piece, as: UTF8.self).unicodeScalars.first
        else { return false }
        return PieceReader.ScalarClass(first) == .letter
    }

    private func hasToken(_ word: String) -> Bool {
        let ids = pieceIDs(of: word)
        // What stands for unknown bytes is the end token in CLIP's files.
        return ids.count <= 1 && !ids.contains(endToken)
    }

    /// The symbols of the tokenizer in a folder with their ids: also those that are only parts of
    /// words, whose spelling no added token can have under another id.
    package static func symbols(in folder: URL) throws -> [String: Int] {
        try TokenizerFiles(directory: folder).vocabularyAndMerges().0.ids
    }

    /// The ids of a word between the start and the end token.
    package func pieceIDs(of word: String) -> [Int] {
        let encoding = encode(word)
        return Array(encoding.ids[1..<encoding.count - 1])
    }

    /// The single words that were added to the vocabulary, with their ids.
    package var addedWords: [String: Int] { addedTokens.wordIDs }

    /// Writes a tokenizer with more words than one that is there. It is read by others too: the
    /// words are added tokens of the transformers library, which count only as whole words.
    ///
    /// - Parameters:
    ///   - words: The words with their ids, which the tokenizer does not have yet.
    ///   - source: The folder of the tokenizer.
    ///   - target: The folder of the new one, which is made if it is not there.
    /// - Throws: `WuerstchenError` when files cannot be read or written.
    package static func add(_ words: [String: Int], to source: URL, writing target: URL) throws {
        try makeFolder(target)
        let words = words.sorted { $0.value < $1.value }
        for name in TokenizerFiles.names {
            guard let data = try readSmallFile(source.appending(path: name)) else { continue }
            let contents = name == "tokenizer.json" ? try listing(words, in: data, name) : data
            try AtomicFile.replace(target.appending(path: name), with: contents)
        }
        let file = target.appending(path: "tokenizer_config.json")
        var fields = try readSmallFile(file).map { try object(in: $0, file.path) } ?? [:]
        var tokens = fields["added_tokens_decoder"] as? [String: Any] ?? [:]
        for (word, id) in words { tokens["\(id)"] = entry(word) }
        fields["added_tokens_decoder"] = tokens
        try AtomicFile.replace(file, with: data(of: fields))
    }

    /// What the transformers library writes of a word, but for its id.
    private static func entry(_ word: String) -> [String: Any] {
        [
            "content": word, "single_word": true, "normalized": true, "lstrip": false,
            "rstrip": false, "special": false,
        ]
    }

    private static func listing(
        _ words: [(key: String, value: Int)], in data: Data, _ name: String
    ) throws -> Data {
        var fields = try object(in: data, name)
        let tokens = fields["added_tokens"] as? [Any] ?? []
        fields["added_tokens"] =
            tokens + words.map { word, id in entry(word).merging(["id": id]) { $1 } }
        return try self.data(of: fields)
    }

    private static func object(in data: Data, _ name: String) throws -> [String: Any] {
        let contents = try? JSONSerialization.jsonObject(with: withoutByteOrderMark(data))
        guard let fields = contents as? [String: Any] else {
            throw WuerstchenError(.malformedFile, "\(name) is not an object in JSON")
        }
        return fields
    }

    private static func data(of fields: [String: Any]) throws -> Data {
        try JSONSerialization.data(
            withJSONObject: fields,
            options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
    }
}
