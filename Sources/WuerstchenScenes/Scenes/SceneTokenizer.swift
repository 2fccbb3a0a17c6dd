public import Foundation
private import WuerstchenTraining

/// The tokenizer of the captions of scenes, in CLIP's layout: every word of a caption is one token,
/// and anything else is spelt in smaller ones.
public enum SceneTokenizer {
    /// How many ids an encoding has, with the start and the end token.
    static let length = 32

    /// Writes the files that `CLIPTokenizer` reads, the same ones every time.
    ///
    /// - Parameter directory: The folder, which is made if it does not exist.
    /// - Throws: `WuerstchenError` with code `unwritableFile`.
    public static func write(to directory: URL) throws {
        try tokenizer.write(to: directory)
    }

    /// The symbols in the order of their ids.
    static var vocabulary: [String] { tokenizer.vocabulary }

    private static let tokenizer = CaptionTokenizer(
        words: wordCounts(), length: length, vocabularySize: .max)

    /// How often captions have each of the grammar's words, and 1 for a word that came up in none.
    private static func wordCounts() -> [[UInt8]: Int] {
        var counts = Dictionary(uniqueKeysWithValues: SceneCaption.words.map { ($0, 1) })
        var random = RandomStream(seed: 0, name: "words of captions")
        for _ in 0..<20_000 {
            let classes = SceneAttribute.allCases.map { random.integer(below: $0.classCount) }
            let caption = SceneCaption.draw(classes, &random).text
            for word in caption.split(whereSeparator: { $0 == " " || $0 == "," }) {
                counts[String(word), default: 0] += 1
            }
        }
        return Dictionary(uniqueKeysWithValues: counts.map { (Array($0.utf8), $1) })
    }
}
