/// Cuts a prompt into added tokens and the pieces that are encoded one by one: what
/// `'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+` matches in the normalised text.
struct PieceReader {
    enum Element {
        case addedToken(Int)
        case piece(Piece)
    }

    /// A piece that starts at the current position and is not yet read.
    enum Piece {
        /// The next scalars, so many of them.
        case scalars(Int)
        /// All that follows of one class.
        case run(ScalarClass)
    }

    /// The classes that the split tells apart.
    enum ScalarClass {
        case letter, number, space, symbol

        init(_ scalar: Unicode.Scalar) {
            switch scalar.properties.generalCategory {
            case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter,
                .otherLetter:
                self = .letter
            case .decimalNumber, .letterNumber, .otherNumber:
                self = .number
            default:
                self = scalar.properties.isWhitespace ? .space : .symbol
            }
        }
    }

    private static let contractions = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"].map {
        Array($0.unicodeScalars)
    }

    private let normalizedTokens: [AddedTokens.Pattern]
    private let words: [Unicode.Scalar: [AddedTokens.Pattern]]
    /// How many scalars must be known to decide what starts at a position.
    private let lookahead: Int
    private var source: NormalizedText
    private var buffer: ArraySlice<Unicode.Scalar> = []
    /// What was read last; nil at the beginning and behind a token of the raw text.
    private var previous: Unicode.Scalar?

    init(_ text: String, addedTokens: AddedTokens) {
        normalizedTokens = addedTokens.normalized
        words = addedTokens.words
        // A word may begin behind an apostrophe, and what follows it counts.
        lookahead = max(3, addedTokens.longest + 2)
        source = NormalizedText(text, rawTokens: addedTokens.raw)
    }

    /// What comes next after white space, or nil at the end. A piece must then be read.
    mutating func next() -> Element? {
        while true {
            fill()
            guard let scalar = buffer.first else {
                previous = nil
                return source.nextRawToken().map { .addedToken($0) }
            }
            if let token = normalizedTokens.first(startingText: buffer)
                ?? word(in: buffer, behind: previous)
            {
                take(token.scalars.count)
                return .addedToken(token.id)
            }
            if let contraction = Self.contractions.first(where: { buffer.starts(with: $0) }),
                word(in: buffer.dropFirst(), behind: scalar) == nil
            {
                return .piece(.scalars(contraction.count))
            }
            switch ScalarClass(scalar) {
            case .space: take(1)
            case .number: return .piece(.scalars(1))
            case .letter: return .piece(.run(.letter))
            case .symbol: return .piece(.run(.symbol))
            }
        }
    }

    /// Appends a piece in UTF-8, or as much of it as it takes to reach a number of bytes.
    ///
    /// - Returns: Whether this was the end of the piece; if not, go on by reading it again.
    mutating func read(_ piece: Piece, into bytes: inout [UInt8], limit: Int) -> Bool {
        switch piece {
        case .scalars(let count):
            for scalar in buffer.prefix(count) { bytes += UTF8.encode(scalar) ?? .init() }
            take(count)
            return true
        case .run(let scalarClass):
            while true {
                fill()
                guard let scalar = buffer.first, ScalarClass(scalar) == scalarClass,
                    normalizedTokens.first(startingText: buffer) == nil
                else { return true }
                if bytes.count >= limit { return false }
                bytes += UTF8.encode(scalar) ?? .init()
                take(1)
            }
        }
    }

    private mutating func take(_ count: Int) {
        previous = buffer.dropFirst(count - 1).first
        buffer.removeFirst(count)
    }

    /// The added word that a text starts with and that ends where the text's own word does; nil
    /// behind what is part of the same word.
    private func word(
        in text: ArraySlice<Unicode.Scalar>, behind previous: Unicode.Scalar?
    ) -> AddedTokens.Pattern? {
        guard let head = text.first, let candidates = words[head], previous?.isInWords != true
        else { return nil }
        return candidates.first { word in
            text.starts(with: word.scalars)
                && text.dropFirst(word.scalars.count).first?.isInWords != true
        }
    }

    private mutating func fill() {
        while buffer.count < lookahead, let block = source.nextBlock() {
            buffer = buffer + block
        }
    }
}

extension CLIPTokenizer {
    /// The pieces that a text is encoded in one by one, in UTF-8: its words, single digits and runs
    /// of symbols.
    package static func pieces(of text: String) -> [[UInt8]] {
        var reader = PieceReader(text, addedTokens: AddedTokens([]))
        var pieces: [[UInt8]] = []
        while case .piece(let piece) = reader.next() {
            var bytes: [UInt8] = []
            _ = reader.read(piece, into: &bytes, limit: .max)
            pieces.append(bytes)
        }
        return pieces
    }
}

extension Unicode.Scalar {
    /// Whether words are made of it, as `\w` of regular expressions has it.
    fileprivate var isInWords: Bool {
        switch properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation:
            true
        default: properties.isAlphabetic || properties.isJoinControl
        }
    }
}
