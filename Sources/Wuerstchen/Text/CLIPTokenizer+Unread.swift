extension CLIPTokenizer {
    /// The end of a text that its encoding has no room for, from the first word that is not read as
    /// a whole; empty where everything is read.
    ///
    /// - Parameter text: The prompt.
    /// - Returns: The end, as it is written.
    public func unreadEnd(of text: String) -> String {
        guard encode(text).isTruncated else { return "" }
        let words = text.split(whereSeparator: \.isWhitespace)
        // So many words fit, and so many do not.
        var (fitting, tooMany) = (0, words.count)
        while tooMany - fitting > 1 {
            let middle = (fitting + tooMany) / 2
            if encode(String(text[..<words[middle - 1].endIndex])).isTruncated {
                tooMany = middle
            } else {
                fitting = middle
            }
        }
        return words.indices.contains(fitting) ? String(text[words[fitting].startIndex...]) : ""
    }
}
