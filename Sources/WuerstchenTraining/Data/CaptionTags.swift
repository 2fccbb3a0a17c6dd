import Foundation

/// How captions that are lists of tags, with commas between them, are read: in another order each
/// time, so that none of it is learnt.
public struct CaptionTags: Sendable, Hashable {
    /// How many tags at the beginning stay where they are, such as a name.
    public var kept: Int

    /// A number of tags at the beginning stay where they are.
    public init(kept: Int = 0) {
        self.kept = kept
    }

    /// A caption with its tags in random order.
    func shuffled(_ caption: String, _ random: inout ImageRandom) -> String {
        let tags = caption.split(separator: ",")
            .map { $0.trimmingCharacters(in: .whitespacesAndNewlines) }.filter { !$0.isEmpty }
        let kept = max(0, kept)
        return (tags.prefix(kept) + random.shuffled(tags.dropFirst(kept))).joined(separator: ", ")
    }
}
