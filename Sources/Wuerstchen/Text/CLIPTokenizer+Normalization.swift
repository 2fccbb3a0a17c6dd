internal import Foundation

/// A token that is recognised as a whole inside a prompt.
struct AddedToken: Sendable {
    var content: String
    var id: Int
    /// Whether the token is looked for in the normalised text (so in any case), not the raw one.
    var isNormalized: Bool
    /// Whether it counts only where no letter, digit or the like is beside it.
    var isSingleWord = false
}

/// The tokens that are recognised inside a prompt, ready to be looked for.
struct AddedTokens: Sendable {
    struct Pattern: Sendable {
        var scalars: [Unicode.Scalar]
        var id: Int
    }

    /// Looked for in the text as it is written, the longest first.
    let raw: [Pattern]
    /// Looked for in the normalised text, the longest first.
    let normalized: [Pattern]
    /// Looked for there as single words, by what they begin with, the longest first.
    let words: [Unicode.Scalar: [Pattern]]
    // States of trainings have a digest of what is stored here, so what follows from it is not.
    /// The scalars of the longest that is looked for in the normalised text.
    var longest: Int {
        max(
            normalized.first?.scalars.count ?? 0,
            words.values.reduce(0) { max($0, $1.first?.scalars.count ?? 0) })
    }
    /// The single words as they are written in the tokenizer's files, with their ids.
    let wordIDs: [String: Int]

    init(_ tokens: [AddedToken]) {
        func patterns(
            _ tokens: [AddedToken], _ scalars: (String) -> [Unicode.Scalar]
        ) -> [Pattern] {
            tokens.map { Pattern(scalars: scalars($0.content), id: $0.id) }
                .sorted { $0.scalars.count > $1.scalars.count }
        }
        raw = patterns(tokens.filter { !$0.isNormalized }) { Array($0.unicodeScalars) }
        func normalizedPatterns(_ tokens: [AddedToken]) -> [Pattern] {
            patterns(tokens) {
                var isAfterSpace = false
                return normalizedScalars(of: $0, isAfterSpace: &isAfterSpace)
            }
        }
        normalized = normalizedPatterns(
            tokens.filter { $0.isNormalized && !$0.isSingleWord })
        let single = normalizedPatterns(tokens.filter { $0.isNormalized && $0.isSingleWord })
        words = Dictionary(grouping: single.filter { !$0.scalars.isEmpty }) { $0.scalars[0] }
        wordIDs = Dictionary(
            tokens.filter(\.isSingleWord).map { ($0.content, $0.id) },
            uniquingKeysWith: { first, _ in first })
    }
}

extension Collection<AddedTokens.Pattern> {
    /// The longest of these tokens that the text starts with.
    func first(startingText text: some Collection<Unicode.Scalar>) -> AddedTokens.Pattern? {
        guard let head = text.first else { return nil }
        return first { $0.scalars.first == head && text.starts(with: $0.scalars) }
    }
}

/// A prompt's normalised text, made block by block as it is asked for, so that the end of a very
/// long prompt that is cut off anyway costs nothing.
struct NormalizedText {
    private static let blockLength = 256

    private let rawTokens: [AddedTokens.Pattern]
    private var rest: Substring.UnicodeScalarView
    private var isAfterSpace = false

    init(_ text: String, rawTokens: [AddedTokens.Pattern]) {
        var text = text
        text.makeContiguousUTF8()
        rest = text[...].unicodeScalars
        self.rawTokens = rawTokens
    }

    /// More of the normalised text, or nil at its end and in front of a token of the raw text.
    mutating func nextBlock() -> [Unicode.Scalar]? {
        var end = rest.startIndex
        var count = 0
        while end < rest.endIndex {
            let scalar = rest[end]
            if count >= Self.blockLength, !scalar.mayCompose { break }
            if rawTokens.first(startingText: rest[end...]) != nil { break }
            end = rest.index(after: end)
            count += 1
        }
        guard count > 0 else { return nil }
        // Only a block that has no place to cut grows this long.
        let block =
            count > 8 * Self.blockLength
            ? withSortedMarks(rest[..<end]) : String(rest[..<end])
        rest = rest[end...]
        return normalizedScalars(of: block, isAfterSpace: &isAfterSpace)
    }

    /// The token of the raw text that the blocks so far have led to; nil at the end of the text.
    mutating func nextRawToken() -> Int? {
        guard let token = rawTokens.first(startingText: rest) else { return nil }
        rest = rest.dropFirst(token.scalars.count)
        isAfterSpace = false
        return token.id
    }
}

/// NFC, each run of white space as one space, and lower case without regard to context (so that a
/// capital sigma is never a final one).
private func normalizedScalars(of text: String, isAfterSpace: inout Bool) -> [Unicode.Scalar] {
    var scalars: [Unicode.Scalar] = []
    for scalar in composed(text).unicodeScalars {
        let isSpace = scalar.properties.isWhitespace
        if !isSpace {
            scalars.append(contentsOf: scalar.properties.lowercaseMapping.unicodeScalars)
        } else if !isAfterSpace {
            scalars.append(" ")
        }
        isAfterSpace = isSpace
    }
    return scalars
}

/// NFC. Foundation's needs help with three things: it does not join a composed character with what
/// follows it, as an open Hangul syllable with a final consonant, unless both are decomposed first;
/// in front of a mark it takes some supplementary characters for those with the same low 16 bits;
/// and it joins archaic letters of Hangul, which compose with nothing, and takes time in the square
/// of the length of a run of Hangul. No supplementary character composes with a mark of the basic
/// plane, and no letter of Hangul with one that is not of its syllable, so it is enough to keep
/// these apart.
private func composed(_ text: String) -> String {
    func compose(_ part: String.UnicodeScalarView) -> String {
        String(part).decomposedStringWithCanonicalMapping.precomposedStringWithCanonicalMapping
    }
    var result = ""
    var part = String.UnicodeScalarView()
    var previous: Unicode.Scalar?
    for scalar in text.unicodeScalars {
        if let previous, scalar.mustBeKept(apartFrom: previous) {
            result += compose(part)
            part = String.UnicodeScalarView()
        }
        part.append(scalar)
        previous = scalar
    }
    return result + compose(part)
}

/// The same text under canonical equivalence with the marks in canonical order.
///
/// Foundation's NFC is quadratic in the length of a run of unsorted marks; sorted ones are cheap.
private func withSortedMarks(_ text: some Sequence<Unicode.Scalar>) -> String {
    var sorted = String.UnicodeScalarView()
    var marks: [UInt8: [Unicode.Scalar]] = [:]
    func flush() {
        guard !marks.isEmpty else { return }
        for key in marks.keys.sorted() { sorted.append(contentsOf: marks[key] ?? []) }
        marks.removeAll()
    }
    for scalar in text {
        let scalars =
            scalar.properties.generalCategory == .nonspacingMark
            ? Array(String(scalar).decomposedStringWithCanonicalMapping.unicodeScalars) : [scalar]
        for part in scalars {
            let combiningClass = part.properties.canonicalCombiningClass.rawValue
            if combiningClass == 0 {
                flush()
                sorted.append(part)
            } else {
                marks[combiningClass, default: []].append(part)
            }
        }
    }
    flush()
    return String(sorted)
}

extension Unicode.Scalar {
    /// Whether this scalar is or decomposes into something that a mark after it may have to
    /// precede.
    fileprivate var endsWithMark: Bool {
        String(self).decomposedStringWithCanonicalMapping.unicodeScalars.contains {
            $0.properties.canonicalCombiningClass != .notReordered
        }
    }

    /// Whether Foundation's NFC must not see this scalar behind the one in front of it.
    fileprivate func mustBeKept(apartFrom previous: Unicode.Scalar) -> Bool {
        if isHangul { return !continuesSyllable(after: previous) }
        return previous.value > 0xFFFF && value <= 0xFFFF && mayCompose && !previous.endsWithMark
    }

    /// Whether this is a letter or a syllable of Hangul, archaic ones included.
    fileprivate var isHangul: Bool {
        switch value {
        case 0x1100...0x11FF, 0xA960...0xA97F, 0xAC00...0xD7FF: true
        default: false
        }
    }

    /// Whether this letter of Hangul composes with a scalar in front of it: a vowel with an initial
    /// consonant, or a final consonant with the two, both of today's alphabet.
    fileprivate func continuesSyllable(after previous: Unicode.Scalar) -> Bool {
        let vowels: ClosedRange<UInt32> = 0x1161...0x1175
        return switch value {
        case vowels: (0x1100...0x1112).contains(previous.value)
        case 0x11A8...0x11C2:
            vowels.contains(previous.value)
                || (0xAC00...0xD7A3).contains(previous.value)
                    && (previous.value - 0xAC00).isMultiple(of: 28)
        default: false
        }
    }

    /// Whether NFC may join or reorder this scalar with what precedes it. All those that it does
    /// are marks or, as the vowels of Hangul, letters without case.
    fileprivate var mayCompose: Bool {
        switch properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark: true
        case .otherLetter: !properties.isIdeographic
        default: false
        }
    }
}
