internal import Foundation
internal import TensorCore

/// What is read of `tokenizer.json`.
struct TokenizerJSON: Decodable {
    struct Token: Decodable {
        var content: String
        var id: Int
        var isNormalized: Bool?
        var isSingleWord: Bool?

        private enum CodingKeys: String, CodingKey {
            case content, id
            case isNormalized = "normalized"
            case isSingleWord = "single_word"
        }
    }

    /// The same where the id stands in front of it.
    struct AddedToken: Decodable {
        var content: String
        var isNormalized: Bool?
        var isSingleWord: Bool?

        private enum CodingKeys: String, CodingKey {
            case content
            case isNormalized = "normalized"
            case isSingleWord = "single_word"
        }
    }

    struct Model: Decodable {
        var type: String?
        var suffix: String?
        var vocabulary: [String: Double]
        var merges: [Merge]

        private enum CodingKeys: String, CodingKey {
            case type, merges
            case suffix = "end_of_word_suffix"
            case vocabulary = "vocab"
        }

        /// Refuses models that would be read without an error but encoded wrongly.
        func check(in file: URL) throws {
            guard type ?? "BPE" == "BPE", suffix ?? "" == BytePairEncoding.endOfWord else {
                throw WuerstchenError(
                    .invalidVocabulary,
                    "\(file.path) has a model of type '\(type ?? "BPE")' with end_of_word_suffix "
                        + "'\(suffix ?? "")'; expected 'BPE' with '\(BytePairEncoding.endOfWord)'")
            }
        }
    }

    /// A merge, which older files write as `"a b"` and newer ones as `["a", "b"]`.
    struct Merge: Decodable {
        var symbols: [String]

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let line = try? container.decode(String.self) {
                symbols = line.split(separator: " ", omittingEmptySubsequences: false)
                    .map(String.init)
            } else {
                symbols = try container.decode([String].self)
            }
        }
    }

    var addedTokens: [Token]?
    var model: Model?

    private enum CodingKeys: String, CodingKey {
        case model
        case addedTokens = "added_tokens"
    }
}

/// What is read of `tokenizer_config.json` and `special_tokens_map.json`.
struct ConfigJSON: Decodable {
    /// A special token, written as a string or as an `AddedToken` object.
    struct Token: Decodable {
        var content: String

        private enum CodingKeys: String, CodingKey {
            case content
        }

        init(from decoder: any Decoder) throws {
            if let content = try? decoder.singleValueContainer().decode(String.self) {
                self.content = content
            } else {
                content = try decoder.container(keyedBy: CodingKeys.self)
                    .decode(String.self, forKey: .content)
            }
        }
    }

    var length: Double?
    /// Tokens beside the vocabulary's by their ids, as the transformers library writes them.
    var addedTokens: [String: TokenizerJSON.AddedToken]?
    var startToken: Token?
    var endToken: Token?
    var padToken: Token?
    var unknownToken: Token?

    private enum CodingKeys: String, CodingKey {
        case length = "model_max_length"
        case addedTokens = "added_tokens_decoder"
        case startToken = "bos_token"
        case endToken = "eos_token"
        case padToken = "pad_token"
        case unknownToken = "unk_token"
    }
}
