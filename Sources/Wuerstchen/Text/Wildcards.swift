public import Foundation
internal import TensorCore

/// Prompts with choices in them, which a seed makes.
///
/// `{red|blue|dark green}` stands for one of its alternatives, which may have choices of their own,
/// and `__colour__` for one of the lines of `colour.txt` in a folder, empty lines and those that
/// begin with `#` left out. Each alternative is as likely as the others. A brace, bar or underscore
/// behind a backslash is one that is only read.
public struct Wildcards: Sendable {
    /// The folder of files such as `colour.txt`; nil for none.
    public let folder: URL?
    /// How deep choices may stand in choices, and how many may be made of a prompt: lines of files
    /// can name files that name them.
    private static let (deepest, most) = (16, 10_000)

    /// Choices with the files of a folder.
    public init(folder: URL? = nil) {
        self.folder = folder
    }

    /// A prompt with its choices made.
    ///
    /// - Parameters:
    ///   - template: The prompt with choices.
    ///   - seed: What they depend on: the same seed makes the same ones of the same prompt and
    ///     files.
    /// - Returns: The prompt.
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` for a brace without the other one,
    ///   a name without a folder, choices more than 16 deep or more than 10000 of them, as of files
    ///   that name each other in a circle; `fileNotFound` for a name without a file; and
    ///   `malformedFile` for a file without lines or that is no text in UTF-8.
    public func prompt(of template: String, seed: UInt64) throws -> String {
        var choice = Choice(
            folder: folder, generator: SplitMix64(state: SplitMix64.mixed(seed ^ 0x77_696c_6463)))
        return try choice.read(template, depth: 0)
    }

    private struct Choice {
        let folder: URL?
        var generator: SplitMix64
        var lines: [String: [String]] = [:]
        var made = 0

        mutating func read(_ template: String, depth: Int) throws -> String {
            made += 1
            guard depth <= Wildcards.deepest, made <= Wildcards.most else {
                throw WuerstchenError(
                    .invalidRequest,
                    "the prompt has choices more than \(Wildcards.deepest) deep or more than "
                        + "\(Wildcards.most) of them (at "
                        + "\(String(template.prefix(40)).debugDescription)); do files name each "
                        + "other in a circle?")
            }
            var text = ""
            var rest = template[...]
            while let character = rest.first {
                let following = rest.dropFirst().first
                if character == "\\", let following, "{}|_".contains(following) {
                    text.append(following)
                    rest = rest.dropFirst(2)
                } else if character == "{" {
                    let alternatives = try Self.alternatives(rest, template)
                    text += try read(
                        String(alternatives.texts[pick(alternatives.texts.count)]),
                        depth: depth + 1)
                    rest = alternatives.rest
                } else if character == "}" {
                    throw Self.unmatched("}", template)
                } else if character == "_", let name = Self.name(rest) {
                    let lines = try lines(name)
                    text += try read(lines[pick(lines.count)], depth: depth + 1)
                    rest = rest.dropFirst(name.count + 4)
                } else {
                    text.append(character)
                    rest = rest.dropFirst()
                }
            }
            return text
        }

        /// A number below another; the bias is beyond measure.
        private mutating func pick(_ count: Int) -> Int {
            Int(generator.next().multipliedFullWidth(by: UInt64(count)).high)
        }

        /// The alternatives of the braces that a text begins with, and what follows.
        private static func alternatives(
            _ text: Substring, _ template: String
        ) throws -> (texts: [Substring], rest: Substring) {
            var (depth, isEscaped) = (0, false)
            var texts: [Substring] = []
            var start = text.index(after: text.startIndex)
            for index in text.indices {
                let character = text[index]
                if isEscaped { isEscaped = false; continue }
                switch character {
                case "\\": isEscaped = true
                case "{": depth += 1
                case "}": depth -= 1
                default: break
                }
                guard depth == 0 || depth == 1 && character == "|" else { continue }
                texts.append(text[start..<index])
                start = text.index(after: index)
                if depth == 0 { return (texts, text[start...]) }
            }
            throw unmatched("{", template)
        }

        /// The name between pairs of underscores that a text begins with; nil for none.
        private static func name(_ text: Substring) -> Substring? {
            guard text.hasPrefix("__") else { return nil }
            let inner = text.dropFirst(2)
            guard let end = inner.firstRange(of: "__") else { return nil }
            let name = inner[..<end.lowerBound]
            let isName = name.allSatisfy {
                $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" || $0 == "/"
            }
            guard isName, !name.isEmpty, !name.hasPrefix("/") else { return nil }
            return name
        }

        private mutating func lines(_ name: Substring) throws -> [String] {
            if let known = lines[String(name)] { return known }
            guard let folder else {
                throw WuerstchenError(
                    .invalidRequest,
                    "the prompt has __\(name)__, and no folder of wildcards is named. For "
                        + "underscores that are only read write \\__\(name)\\__")
            }
            let file = folder.appendingPathComponent("\(name).txt")
            guard let text = try readText(file) else {
                throw WuerstchenError(
                    .fileNotFound, "\(file.path) is not there, and the prompt has __\(name)__")
            }
            let found = text.split(whereSeparator: \.isNewline)
                .map { $0.trimmingCharacters(in: .whitespaces) }
                .filter { !$0.isEmpty && !$0.hasPrefix("#") }
            guard !found.isEmpty else {
                throw WuerstchenError(
                    .malformedFile, "\(file.path) has no lines to choose from; write one on each")
            }
            lines[String(name)] = found
            return found
        }

        private static func unmatched(_ brace: String, _ template: String) -> WuerstchenError {
            WuerstchenError(
                .invalidRequest,
                "\(String(template.prefix(80)).debugDescription) has a \(brace) without its other "
                    + "brace. For a brace that is only read write \\\(brace)")
        }
    }
}
