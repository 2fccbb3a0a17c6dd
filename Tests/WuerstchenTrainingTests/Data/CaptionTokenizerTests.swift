import Foundation
import Testing
import Wuerstchen
import WuerstchenTraining
import _WuerstchenTestSupport

@Suite("A tokenizer from captions") struct CaptionTokenizerTests {
    private let captions = [
        "a red fox in the snow", "the fox, sleeping", "naïve Füchse in the snow 🦊",
        "abcabcabc bcabc abc bc",
    ]

    private func tokenizer(_ size: Int = 8192, longest: Int = 77) throws -> CLIPTokenizer {
        let folder = try TemporaryFolder()
        try CaptionTokenizer(captions: captions, vocabularySize: size, longest: longest)
            .write(to: folder.url)
        return try CLIPTokenizer(contentsOf: folder.url)
    }

    @Test("has every word of them as one token, in any writing")
    func words() throws {
        let tokenizer = try tokenizer()
        for word in ["fox", "SNOW", "naïve", "füchse", "abcabcabc", "🦊", ","] {
            #expect(tokenizer.encode(word).count == 3, "\(word)")
        }
        #expect(tokenizer.encode("a red fox, sleeping").count == 7)
        // Others are spelt.
        #expect(tokenizer.encode("foxes").count > 3)
        #expect(tokenizer.length == 16 && captions.allSatisfy { !tokenizer.encode($0).isTruncated })
    }

    @Test("is no larger and no longer than asked for")
    func limits() throws {
        let small = try tokenizer(530)
        #expect(small.vocabularySize == 530)
        #expect(small.encode("sleeping").count > 3)
        #expect(try tokenizer(514, longest: 20).length == 20)
        #expect(try tokenizer(1).vocabularySize == 514)
    }
}
