public import Foundation
public import TensorCore
public import Wuerstchen

/// Words that a text encoder is to learn: a tokenizer and an encoder that were trained before, with
/// a token and an embedding for each word that they would spell in pieces.
///
/// All that was there keeps its ids and its embeddings, so that a sentence without new words gives
/// the same bits. A new word begins as the mean of its pieces. Where the vocabulary has its
/// spelling already, as a part of longer words, it takes that symbol's token.
public struct NewWords: Sendable {
    /// The ids of the pieces of words that get an embedding, by the words' own ids.
    private let pieces: [Int: [Int]]
    private let ids: [String: Int]
    /// The embeddings that the encoder has before.
    private let rows: Int

    /// The words in the order of their ids, in lower case.
    public var words: [String] { ids.sorted { $0.value < $1.value }.map(\.key) }

    /// The words of some captions that a tokenizer has no token for.
    ///
    /// - Parameters:
    ///   - captions: The captions.
    ///   - folder: The tokenizer's folder.
    ///   - configuration: The numbers of the text encoder that reads its tokens.
    ///   - fewest: In how many captions a word must be; what is seen once is not learnt.
    ///   - most: The most words, the frequent ones first.
    /// - Throws: `WuerstchenError` when the tokenizer cannot be read.
    public init(
        in captions: [String], besides folder: URL, of configuration: CLIPTextModel.Configuration,
        fewest: Int = 2, most: Int = 4096
    ) throws {
        let tokenizer = try CLIPTokenizer(contentsOf: folder)
        let symbols = try CLIPTokenizer.symbols(in: folder)
        rows = max(configuration.vocabularySize, tokenizer.vocabularySize)
        let words = tokenizer.wordsWithoutToken(in: captions, fewest: fewest, most: most)
        var (ids, next) = ([String: Int](), rows)
        for word in words {
            ids[word] = symbols[word] ?? next
            if symbols[word] == nil { next += 1 }
        }
        self.ids = ids
        pieces = Self.pieces(of: ids, from: rows, tokenizer)
    }

    /// The words that a tokenizer has more than another.
    ///
    /// - Parameters:
    ///   - tokenizer: The tokenizer with the words.
    ///   - base: The one without.
    ///   - configuration: The numbers of the text encoder that reads the base's tokens.
    init(
        of tokenizer: CLIPTokenizer, besides base: CLIPTokenizer,
        of configuration: CLIPTextModel.Configuration
    ) {
        rows = max(configuration.vocabularySize, base.vocabularySize)
        ids = tokenizer.addedWords.filter { base.addedWords[$0.key] == nil }
        pieces = Self.pieces(of: ids, from: rows, base)
    }

    private static func pieces(
        of ids: [String: Int], from first: Int, _ tokenizer: CLIPTokenizer
    ) -> [Int: [Int]] {
        Dictionary(
            uniqueKeysWithValues: ids.filter { $0.value >= first }
                .map { ($1, tokenizer.pieceIDs(of: $0)) })
    }

    /// Writes a tokenizer that has the words too, as the transformers library reads it: as added
    /// tokens, which count where they are whole words.
    ///
    /// - Parameters:
    ///   - source: The folder of the tokenizer without them.
    ///   - target: The folder of the new one, which is made if it is not there.
    /// - Throws: `WuerstchenError` when files cannot be read or written.
    public func write(addedTo source: URL, to target: URL) throws {
        guard !ids.isEmpty else { return try copyFiles(of: source, to: target) }
        try CLIPTokenizer.add(ids, to: source, writing: target)
    }

    /// The numbers of a text encoder with the words: `vocab_size` has grown.
    public func extended(
        _ configuration: CLIPTextModel.Configuration
    ) -> CLIPTextModel.Configuration {
        var result = configuration
        result.vocabularySize = rows + pieces.count
        return result
    }

    /// The parameters of a text encoder with the words.
    ///
    /// - Parameter parameters: Those of the encoder without, by name.
    /// - Returns: The same with a row more in the token embedding for each word.
    public func extended(_ parameters: [String: Tensor]) -> [String: Tensor] {
        parameters.reduce(into: parameters) { result, parameter in
            let (name, table) = parameter
            guard name.hasSuffix("embeddings.token_embedding.weight"), table.shape.rank == 2,
                !pieces.isEmpty
            else { return }
            let width = table.shape[1]
            let added = pieces.sorted { $0.key < $1.key }.map { _, pieces in
                let rows = pieces.filter { $0 < table.shape[0] }
                let sum = rows.reduce(Tensor(repeating: 0, [1, width])) { $0 + table[$1..<$1 + 1] }
                return rows.isEmpty ? sum : sum.scaled(by: 1 / Float(rows.count))
            }
            // Rows that no token led to.
            let idle = Tensor(repeating: 0, [max(0, rows - table.shape[0]), width])
            result[name] = .concatenating([table, idle].filter { $0.count > 0 } + added)
        }
    }
}
