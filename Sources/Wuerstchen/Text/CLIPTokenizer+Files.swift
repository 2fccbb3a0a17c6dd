internal import Foundation
internal import TensorCore

/// What the files say besides the vocabulary and the merges.
struct TokenizerSettings {
    var length = 77
    var startToken = "<|startoftext|>"
    var endToken = "<|endoftext|>"
    var padToken: String
    var unknownToken: String
}

/// The folder of a tokenizer in the layout of the transformers library.
struct TokenizerFiles {
    /// Files that the folder may have.
    static let names = [
        "vocab.json", "merges.txt", "tokenizer.json", configurationName, "special_tokens_map.json",
    ]

    let directory: URL
    private let tokenizer: (file: URL, contents: TokenizerJSON)?
    private let configuration: ConfigJSON?
    private var configurationFile: URL { directory.appending(path: Self.configurationName) }
    private static let configurationName = "tokenizer_config.json"

    /// Opens the folder and reads `tokenizer.json` and `tokenizer_config.json` if they are there.
    init(directory: URL) throws {
        self.directory = directory
        let file = directory.appending(path: "tokenizer.json")
        tokenizer = try Self.json(TokenizerJSON.self, in: file).map { (file, $0) }
        configuration = try Self.json(
            ConfigJSON.self, in: directory.appending(path: Self.configurationName))
    }

    /// The single words beside the vocabulary that `tokenizer_config.json` has, in the order of
    /// their ids. Its other tokens are those of the vocabulary.
    private var configuredWords: [AddedToken] {
        get throws {
            try (configuration?.addedTokens ?? [:]).compactMap { key, token in
                guard token.isSingleWord == true else { return nil }
                guard let id = Int(key), !token.content.isEmpty, token.isNormalized ?? true else {
                    throw WuerstchenError(
                        .invalidVocabulary,
                        "\(configurationFile.path) has the added token '\(token.content)' as "
                            + "'\(key)'; expected an id, and words that are not empty and looked "
                            + "for in the normalised text")
                }
                return AddedToken(
                    content: token.content, id: id, isNormalized: true, isSingleWord: true)
            }.sorted { $0.id < $1.id }
        }
    }

    /// The vocabulary, with the added tokens of `tokenizer.json`, and the merges.
    func vocabularyAndMerges() throws -> (Vocabulary, MergeList) {
        let vocabularyFile = directory.appending(path: "vocab.json")
        let mergesFile = directory.appending(path: "merges.txt")
        var vocabulary: Vocabulary
        let merges: MergeList
        if let ids = try Self.json([String: Double].self, in: vocabularyFile),
            let lines = try readText(mergesFile)
        {
            vocabulary = try Vocabulary(ids, from: vocabularyFile.path)
            merges = try MergeList(lines: lines, from: mergesFile.path)
            try vocabulary.requireMerges(merges)
        } else if let (file, contents) = tokenizer {
            guard let model = contents.model else {
                throw WuerstchenError(
                    .malformedFile, "\(file.path) has no 'model' with a vocabulary and merges")
            }
            try model.check(in: file)
            vocabulary = try Vocabulary(model.vocabulary, from: file.path)
            merges = try MergeList(entries: model.merges.map(\.symbols), from: file.path)
            try vocabulary.requireMerges(merges)
        } else {
            let missing = [vocabularyFile, mergesFile]
                .filter { !FileManager.default.fileExists(atPath: $0.path) }
                .map(\.lastPathComponent)
            throw WuerstchenError(
                .fileNotFound,
                "\(directory.path) has no \(missing.joined(separator: " and ")); a tokenizer needs "
                    + "vocab.json and merges.txt, or tokenizer.json"
                    + MissingFile.reason(for: missing, in: directory))
        }
        if let (file, contents) = tokenizer {
            for token in contents.addedTokens ?? [] {
                try vocabulary.insert(token.content, id: token.id, from: file.path)
            }
        }
        for token in try configuredWords {
            try vocabulary.insert(token.content, id: token.id, from: configurationFile.path)
        }
        return (vocabulary, merges)
    }

    /// The length and the special tokens, from `tokenizer_config.json`, then
    /// `special_tokens_map.json`.
    func settings() throws -> TokenizerSettings {
        let (config, configFile) = (configuration, configurationFile)
        let map = try Self.json(
            ConfigJSON.self, in: directory.appending(path: "special_tokens_map.json"))
        func token(_ role: KeyPath<ConfigJSON, ConfigJSON.Token?>) -> String? {
            (map?[keyPath: role] ?? config?[keyPath: role])?.content
        }
        let end = token(\.endToken) ?? "<|endoftext|>"
        var settings = TokenizerSettings(
            padToken: token(\.padToken) ?? end, unknownToken: token(\.unknownToken) ?? end)
        settings.startToken = token(\.startToken) ?? settings.startToken
        settings.endToken = end
        // The transformers library writes 1e30 where it does not know the length.
        if let length = config?.length, length <= 1e6 {
            guard let exact = Int(exactly: length), exact >= 2 else {
                throw WuerstchenError(
                    .invalidVocabulary,
                    "\(configFile.path) has the model_max_length \(length); expected a whole number "
                        + "of at least 2, for the start and the end token")
            }
            settings.length = exact
        }
        return settings
    }

    /// The tokens that are recognised inside a prompt. Start and end always are; where
    /// `tokenizer.json` does not list them, they are as in CLIP's, which looks for the start token
    /// in the normalised text and for the end token in the raw one.
    func addedTokens(
        _ settings: TokenizerSettings, _ vocabulary: Vocabulary
    ) throws -> [AddedToken] {
        var tokens: [AddedToken] = []
        if let (file, contents) = tokenizer {
            for token in contents.addedTokens ?? [] {
                let isSingleWord = token.isSingleWord ?? false
                guard !token.content.isEmpty, !isSingleWord || token.isNormalized == true else {
                    throw WuerstchenError(
                        .invalidVocabulary,
                        "\(file.path) has the added token '\(token.content)'; expected tokens that "
                            + "are not empty, and 'normalized' where they are 'single_word'")
                }
                tokens.append(
                    AddedToken(
                        content: token.content, id: token.id,
                        isNormalized: token.isNormalized ?? false, isSingleWord: isSingleWord))
            }
        }
        let known = Set(tokens.map(\.content))
        tokens += try configuredWords.filter { !known.contains($0.content) }
        for (content, role, isNormalized) in [
            (settings.startToken, "bos_token", true), (settings.endToken, "eos_token", false),
        ] where !tokens.contains(where: { $0.content == content }) {
            let id = try vocabulary.id(of: content, as: role)
            tokens.append(AddedToken(content: content, id: id, isNormalized: isNormalized))
        }
        return tokens
    }

    /// Reads a JSON file; nil if it does not exist.
    private static func json<Value: Decodable>(_ type: Value.Type, in file: URL) throws -> Value? {
        guard let data = try readSmallFile(file) else { return nil }
        return try decodeJSON(type, data, name: file.path)
    }
}
