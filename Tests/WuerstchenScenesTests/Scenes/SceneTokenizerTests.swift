import Foundation
import Testing
import Wuerstchen
import WuerstchenTraining
import _WuerstchenTestSupport

@testable import WuerstchenScenes

@Suite struct SceneTokenizerTests {
    private static let files = [
        "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json",
    ]

    private func tokenizer() throws -> CLIPTokenizer {
        try withFolder { folder in
            try SceneTokenizer.write(to: folder)
            return try CLIPTokenizer(contentsOf: folder)
        }
    }

    @Test func filesHaveTheLayoutOfCLIP() throws {
        let tokenizer = try tokenizer()
        let vocabulary = SceneTokenizer.vocabulary
        #expect(Set(vocabulary).count == vocabulary.count)
        #expect(vocabulary.count == 810, "the rows of the text encoders' embeddings")
        #expect(tokenizer.vocabularySize == vocabulary.count)
        #expect(tokenizer.length == 32)
        #expect(tokenizer.startToken == vocabulary.count - 2)
        #expect(tokenizer.endToken == vocabulary.count - 1)
        #expect(tokenizer.padToken == tokenizer.endToken)
        // The places of bytes are those of CLIP's published vocabulary.
        #expect(vocabulary[0] == "!" && vocabulary[93] == "~" && vocabulary[94] == "¡")
        #expect(vocabulary[188] == "Ā" && vocabulary[255] == "Ń" && vocabulary[256] == "!</w>")
        #expect(vocabulary[320] == "a</w>")
        #expect(tokenizer.encode("a!").ids.prefix(3) == [vocabulary.count - 2, 320, 256])
    }

    @Test func everyWordIsOneToken() throws {
        let tokenizer = try tokenizer()
        var seen: Set<Int> = []
        for word in SceneCaption.words + [","] {
            let encoding = tokenizer.encode(word)
            #expect(encoding.count == 3, "\(word)")
            #expect(SceneTokenizer.vocabulary[encoding.ids[1]] == word + "</w>")
            seen.insert(encoding.ids[1])
        }
        #expect(seen.count == SceneCaption.words.count + 1)
    }

    @Test func wordsOfOtherThingsAreUnknown() throws {
        let tokenizer = try tokenizer()
        #expect(tokenizer.unknownWords(in: SceneCaption.words.joined(separator: " ")).isEmpty)
        #expect(tokenizer.unknownWords(in: "A cat and a Horse in a red house") == ["cat", "horse"])
    }

    @Test(arguments: [false, true]) func captionsFit(mentioningAll mentionsAll: Bool) throws {
        let tokenizer = try tokenizer()
        var random = RandomStream(3)
        for _ in 0..<400 {
            let classes = SceneAttribute.allCases.map { random.integer(below: $0.classCount) }
            let text = SceneCaption.draw(classes, &random, mentionsAll: mentionsAll).text
            let encoding = tokenizer.encode(text)
            #expect(!encoding.isTruncated, "\(text)")
            let tokens = encoding.ids[1..<encoding.count - 1]
                .map { SceneTokenizer.vocabulary[$0].replacing("</w>", with: "") }
            #expect(
                tokens.joined(separator: " ").replacing(" ,", with: ",") == text,
                "the tokens are the words")
        }
    }

    @Test func theLongestCaptionsFit() {
        // A boat has the longest noun and place, a clear sky one of the longest phrases.
        var random = RandomStream(4)
        let longest = (0..<20_000).map { _ in
            let text = SceneCaption.draw([2, 1, 0, 0, 0, 0, 1, 0], &random, mentionsAll: true).text
            return text.split(separator: " ").count + text.count { $0 == "," }
        }.max()
        #expect(longest.map { (28...SceneCaption.longest).contains($0) } == true)
    }

    @Test func otherWordsAreSpelt() throws {
        let encoding = try tokenizer().encode("A small Zebra's house, naïve 42!")
        #expect(!encoding.isTruncated)
        let text = encoding.ids[1..<encoding.count - 1]
            .map { SceneTokenizer.vocabulary[$0] }.joined()
        #expect(
            text == "a</w>small</w>zebra</w>'s</w>house</w>,</w>naÃ¯ve</w>4</w>2</w>!</w>")
    }

    @Test func filesAreTheSameEveryTime() throws {
        try withFolder { folder in
            let folders = ["one", "two"].map { folder.appending(path: $0) }
            for folder in folders { try SceneTokenizer.write(to: folder) }
            for file in Self.files {
                let contents = try folders.map { try Data(contentsOf: $0.appending(path: file)) }
                #expect(contents[0] == contents[1] && !contents[0].isEmpty)
            }
        }
    }

    @Test func aFolderThatCannotBeMadeIsNamed() throws {
        try withFolder { folder in
            let file = folder.appending(path: "file")
            try Data().write(to: file)
            let error = #expect(throws: WuerstchenError.self) {
                try SceneTokenizer.write(to: file)
            }
            #expect(error?.code == .unwritableFile)
            #expect(error?.message.contains(file.path) == true)
        }
    }
}
