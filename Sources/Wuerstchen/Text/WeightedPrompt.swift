internal import TensorCore

/// How a prompt is read.
public enum PromptSyntax: String, Sendable, Hashable, CaseIterable, Codable {
    /// As it is written, parentheses and all.
    case plain
    /// With weights in parentheses; see ``WeightedPrompt``.
    case weighted
}

/// A prompt whose parts have weights, in the notation that AUTOMATIC1111's web UI made customary.
///
/// `(red)` has the weight 1.1 and `(red:1.3)` the weight 1.3; weights of parentheses in parentheses
/// are multiplied, and everything else has the weight 1. A parenthesis, colon or backslash behind a
/// backslash is one that is only read. What stands behind a colon and is no number is read too:
/// `(red:big)` is the text `red:big` with the weight 1.1.
public struct WeightedPrompt: Sendable, Hashable {
    /// A part of a prompt with one weight.
    public struct Part: Sendable, Hashable {
        /// The text, without the notation.
        public let text: String
        /// Its weight.
        public let weight: Float
    }

    /// The weight of parentheses that name none.
    public static let standardWeight: Float = 1.1
    /// Weights that parentheses can name.
    public static let weights: ClosedRange<Float> = 0...10
    /// How deep parentheses may stand in parentheses.
    private static let deepest = 32

    /// The parts in their order, none of them empty.
    public let parts: [Part]

    /// What is read, without the notation.
    public var text: String { parts.map(\.text).joined() }

    /// Reads a prompt.
    ///
    /// - Parameters:
    ///   - prompt: The prompt.
    ///   - syntax: How it is read; as ``PromptSyntax/plain`` it is a single part of weight 1.
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` for a parenthesis without the other
    ///   one, parentheses more than 32 deep, or a weight out of range.
    public init(_ prompt: String, syntax: PromptSyntax = .weighted) throws {
        guard syntax == .weighted else {
            parts = prompt.isEmpty ? [] : [Part(text: prompt, weight: 1)]
            return
        }
        var reader = Reader(characters: Array(prompt))
        var parts: [(text: String, weight: Float)] = []
        for (character, weight) in try reader.readAll() {
            if parts.last?.weight != weight { parts.append(("", weight)) }
            parts[parts.count - 1].text.append(character)
        }
        self.parts = parts.map { Part(text: $0.text, weight: $0.weight) }
    }

    private struct Reader {
        /// What is in parentheses that are not closed yet, or in none.
        private struct Level {
            var characters: [(Character, weight: Float)] = []
            /// The place of the last colon that may begin a weight.
            var colon: Int?
        }

        private let characters: [Character]
        private var levels = [Level()]

        init(characters: [Character]) {
            self.characters = characters
        }

        /// The characters that are read, with their weights.
        mutating func readAll() throws -> [(Character, weight: Float)] {
            var index = 0
            while index < characters.count {
                let character = characters[index]
                switch character {
                case "\\"
                where index + 1 < characters.count && "():\\".contains(characters[index + 1]):
                    index += 1
                    append(characters[index])
                case "(":
                    guard levels.count <= WeightedPrompt.deepest else {
                        throw WuerstchenError(
                            .invalidRequest,
                            "the prompt has parentheses more than \(WeightedPrompt.deepest) deep")
                    }
                    levels.append(Level())
                case ")":
                    guard levels.count > 1, let inner = levels.popLast() else {
                        throw unmatched(")", at: index)
                    }
                    let inside = try closed(inner)
                    levels[levels.count - 1].characters += inside
                default:
                    if character == ":" {
                        levels[levels.count - 1].colon = levels[levels.count - 1].characters.count
                    }
                    append(character)
                }
                index += 1
            }
            guard levels.count == 1 else { throw unmatched("(", at: characters.count) }
            return levels[0].characters
        }

        private mutating func append(_ character: Character) {
            levels[levels.count - 1].characters.append((character, 1))
        }

        /// What was in parentheses, with their weight.
        private func closed(_ level: Level) throws -> [(Character, weight: Float)] {
            var (characters, weight) = (level.characters[...], WeightedPrompt.standardWeight)
            if let colon = level.colon {
                let digits = String(characters[(colon + 1)...].map(\.0))
                    .split(whereSeparator: \.isWhitespace)
                if digits.count == 1, let value = Float(digits[0]) {
                    guard WeightedPrompt.weights.contains(value) else {
                        throw WuerstchenError(
                            .invalidRequest,
                            "the prompt has a weight of \(digits[0]); weights are from "
                                + "\(WeightedPrompt.weights.lowerBound) to "
                                + "\(WeightedPrompt.weights.upperBound). For a colon that is only "
                                + "read write \\:")
                    }
                    weight = value
                    characters = characters[..<colon]
                }
            }
            return characters.map { ($0.0, $0.weight * weight) }
        }

        private func unmatched(_ parenthesis: String, at index: Int) -> WuerstchenError {
            let before = String(characters[..<index].suffix(24))
            return WuerstchenError(
                .invalidRequest,
                "the prompt has a \(parenthesis) without its other parenthesis (after "
                    + "\(before.debugDescription)). For a parenthesis that is only read write "
                    + "\\\(parenthesis)")
        }
    }
}
