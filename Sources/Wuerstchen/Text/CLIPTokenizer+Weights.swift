extension CLIPTokenizer {
    /// The ids of a prompt with the weight of each: 1 for the start, the end and padding.
    ///
    /// Parts of other weights than their neighbours' are read by themselves, as words of their own.
    ///
    /// - Parameter prompt: The prompt. Without weights its ids are those of its text.
    /// - Returns: The ids, cut or padded to ``length``, and as many weights.
    public func encode(_ prompt: WeightedPrompt) -> (encoding: Encoding, weights: [Float]) {
        guard prompt.parts.contains(where: { $0.weight != 1 }) else {
            return (encode(prompt.text), [Float](repeating: 1, count: length))
        }
        let capacity = length - 2
        var (ids, weights): ([Int], [Float]) = ([], [])
        var isTruncated = false
        for part in prompt.parts where !isTruncated {
            let encoding = encode(part.text)
            let found = encoding.ids[1..<encoding.count - 1]
            ids += found
            weights += found.map { _ in part.weight }
            isTruncated = encoding.isTruncated || ids.count > capacity
        }
        let kept = [startToken] + ids.prefix(capacity) + [endToken]
        let padding = length - kept.count
        return (
            Encoding(
                ids: kept + [Int](repeating: padToken, count: padding), count: kept.count,
                isTruncated: isTruncated),
            [1] + weights.prefix(capacity) + [Float](repeating: 1, count: padding + 1)
        )
    }
}
