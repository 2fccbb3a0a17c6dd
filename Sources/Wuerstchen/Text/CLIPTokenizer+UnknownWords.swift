extension CLIPTokenizer {
    /// Vocabularies up to this size have a symbol for every word of the captions that they were
    /// made of, as that of drawn scenes; larger ones, such as CLIP's of 49408, spell rare words of
    /// theirs in parts.
    private static let wholeWordVocabulary = 8192

    /// The words of a prompt that the vocabulary does not have, and that are therefore spelt out:
    /// whoever reads the ids has most likely learnt nothing about them.
    ///
    /// A word is unknown if its bytes are all that is left of it, or, where the vocabulary is so
    /// small that it has whole words, if it is not one of them.
    ///
    /// - Parameter text: The prompt.
    /// - Returns: The words in their order, in lower case, each once, and no more than sixteen.
    public func unknownWords(in text: String) -> [String] {
        var words: [String] = []
        var reader = PieceReader(text, addedTokens: addedTokens)
        // Every piece has an id at least: what comes after so many is not read.
        for _ in 2..<max(2, length) {
            guard words.count < 16, let element = reader.next() else { break }
            guard case .piece(let piece) = element else { continue }
            var bytes: [UInt8] = []
            let isWhole = reader.read(piece, into: &bytes, limit: 256)
            guard isWhole, case .run(.letter) = piece, bytes.count > 1 else { continue }
            let count = encoder.encode(bytes, endsWord: true).count
            let isKnown =
                count == 1 || count < bytes.count && vocabularySize > Self.wholeWordVocabulary
            let word = String(decoding: bytes, as: UTF8.self)
            if !isKnown, !words.contains(word) { words.append(word) }
        }
        return words
    }
}
