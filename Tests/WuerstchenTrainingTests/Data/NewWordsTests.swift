import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenTraining
import _WuerstchenTestSupport

/// Words that are added to a tokenizer and to the text encoder that reads its tokens.
@Suite("New words") struct NewWordsTests {
    private let folder: TemporaryFolder
    private let old = [
        "a red house", "two red trees", "the windy mill, it's old", "House & tree_1",
    ]

    init() throws {
        folder = try TemporaryFolder()
        try CaptionTokenizer(captions: old).write(to: base)
    }

    private var base: URL { folder.url.appendingPathComponent("base") }
    private var target: URL { folder.url.appendingPathComponent("new") }

    /// The tokenizer of the parity checkpoint, in the files of a published one.
    private var published: URL {
        URL(filePath: #filePath).deletingLastPathComponent().appending(
            path: "../../WuerstchenTests/Fixtures/parity/checkpoint/wuerstchen-prior/tokenizer")
    }

    private func configuration(_ tokenizer: CLIPTokenizer) -> CLIPTextModel.Configuration {
        var result = CLIPTextModel.Configuration(
            channels: 8, hiddenChannels: 8, layers: 1, heads: 2)
        (result.positions, result.vocabularySize) =
            (tokenizer.length, tokenizer.vocabularySize)
        return result
    }

    /// The tokenizer with the words of some captions.
    private func add(
        _ captions: [String], to source: URL, fewest: Int = 1
    ) throws -> (before: CLIPTokenizer, after: CLIPTokenizer, words: NewWords) {
        let before = try CLIPTokenizer(contentsOf: source)
        let words = try NewWords(
            in: captions, besides: source, of: configuration(before), fewest: fewest)
        try words.write(addedTo: source, to: target)
        return (before, try CLIPTokenizer(contentsOf: target), words)
    }

    private func ids(_ text: String, _ tokenizer: CLIPTokenizer) -> [Int] {
        let encoding = tokenizer.encode(text)
        return Array(encoding.ids[1..<encoding.count - 1])
    }

    @Test("become one token each, and what was there keeps its tokens")
    func tokens() throws {
        let (before, after, words) = try add(["A Windmill, a windmill", "zebra"], to: base)
        #expect(words.words == ["windmill", "zebra"])
        #expect(after.vocabularySize == before.vocabularySize + 2)
        let (windmill, zebra) = (before.vocabularySize, before.vocabularySize + 1)
        #expect(ids("windmill zebra", after) == [windmill, zebra])
        let a = ids("a", before)
        #expect(
            ids("A WindMill's a\tzebra!", after)
                == a + [windmill] + ids("'s a", before) + [zebra] + ids("!", before))
        // Within quotes, where 't and 's begin contractions.
        #expect(ids("'windmill' 'zebra'", after).count { $0 >= windmill } == 2)
        let others =
            old + [
                "windmills", "awindmill", "windmill_2", "windmill2", "2windmill", "zebra\u{301}",
            ]
            + ["wind mill", "'windmills", "", "<|endoftext|>windmills"]
        for text in others {
            #expect(before.encode(text) == after.encode(text), "\(text)")
        }
        #expect(before.unknownWords(in: "windmill zebra") == ["windmill", "zebra"])
        #expect(after.unknownWords(in: "windmill zebra").isEmpty)
    }

    @Test("are those that several captions have, the frequent ones first, and may be of any script")
    func choice() throws {
        let (_, after, words) = try add(
            ["zebra okapi", "okapi zebra", "an okapi", "gnu gnu", "風車", "風車 72", "aye-aye"],
            to: base, fewest: 2)
        #expect(words.words == ["okapi", "zebra", "風車"])
        #expect(ids("風車", after).count == 1)
        let known = try CLIPTokenizer(contentsOf: base)
        let most = try NewWords(
            in: ["zebra okapi", "okapi"], besides: base, of: configuration(known), fewest: 1,
            most: 1)
        #expect(most.words == ["okapi"])
    }

    /// "draw" is a symbol of the published files, but "draw</w>" is none.
    @Test("spelt as a part of other words is, they take its token")
    func symbols() throws {
        let (before, after, words) = try add(["draw zebra"], to: published)
        #expect(ids("draw", before).count > 1 && ids("drawing", before) == [553])
        #expect(ids("draw zebra", after) == [552, before.vocabularySize])
        #expect(ids("drawing", after) == [553] && words.words == ["draw", "zebra"])
        #expect(words.extended(configuration(before)).vocabularySize == after.vocabularySize)
        #expect(after.vocabularySize == before.vocabularySize + 1)
    }

    @Test("are added to the files of a published tokenizer, and once more to those")
    func publishedFiles() throws {
        let source = published
        let (before, after, _) = try add(["windmill"], to: source)
        #expect(ids("windmill", after) == [before.vocabularySize])
        let again = folder.url.appendingPathComponent("again")
        try NewWords(in: ["zebra windmill"], besides: target, of: configuration(after), fewest: 1)
            .write(addedTo: target, to: again)
        let more = try CLIPTokenizer(contentsOf: again)
        #expect(ids("windmill zebra", more) == [before.vocabularySize, before.vocabularySize + 1])
        // Without the one file, the other says the same.
        try FileManager.default.removeItem(at: again.appendingPathComponent("tokenizer.json"))
        let rest = try CLIPTokenizer(contentsOf: again)
        for text in ["a windmill and another zebra", "windmills"] {
            #expect(more.encode(text) == rest.encode(text))
        }
    }

    /// The ids that tokenizers 0.23.3 and transformers 5.24.0 give for the same files.
    @Test(
        "are read by others to the same ids",
        arguments: [
            ("a Windmill", [320, 674]), ("windmill's zebra", [674, 646, 675]),
            ("'windmill' and 'zebra'", [262, 674, 262, 520, 262, 675, 262]),
            ("windmills", [86, 514, 67, 76, 595, 75, 338]),
            ("windmill_2", [86, 514, 67, 76, 72, 541, 318, 273]),
            ("2windmill", [273, 86, 514, 67, 76, 72, 541]),
            ("zebra\u{301}", [89, 68, 550, 127, 350]), ("windmill-zebra", [674, 268, 675]),
            ("WINDMILL!zebra?", [674, 256, 675, 286]), ("zebra.windmill", [675, 269, 674]),
            ("the windmill<|endoftext|>zebra", [513, 674, 673, 675]),
            ("x'zebra", [343, 262, 675]),
        ])
    func reference(_ text: String, _ expected: [Int]) throws {
        let (_, after, _) = try add(["windmill zebra"], to: published)
        #expect(ids(text, after) == expected)
    }

    @Test("begin as the mean of their pieces, and old sentences give the same bits")
    func embeddings() throws {
        let (before, after, words) = try add(["windmill zebra"], to: base)
        let small = configuration(before)
        let large = words.extended(small)
        #expect(large.vocabularySize == after.vocabularySize)
        var parameters = TrainableParameters()
        try parameters.addText(small, seed: 3)
        let values = parameters.scope("text")
        let grown = words.extended(values)
        let name = "text_model.embeddings.token_embedding.weight"
        let (table, new) = (try #require(values[name]), try #require(grown[name]))
        #expect(grown.keys == values.keys)
        #expect(new.shape == [large.vocabularySize, 8])
        for (word, row) in zip(words.words, before.vocabularySize...) {
            let pieces = ids(word, before)
            for column in 0..<8 {
                let mean = pieces.reduce(Float(0)) { $0 + table[$1, column] } / Float(pieces.count)
                #expect(abs(new[row, column] - mean) < 1e-6)
            }
        }
        let models = (
            try CLIPTextModel(configuration: small, parameters: ParameterValues(values)),
            try CLIPTextModel(configuration: large, parameters: ParameterValues(grown))
        )
        for text in old {
            let encodings = (before.encode(text), after.encode(text))
            let hidden = (
                try models.0(ids: [encodings.0.ids], mask: [encodings.0.mask]),
                try models.1(ids: [encodings.1.ids], mask: [encodings.1.mask])
            )
            #expect(hidden.0.elements == hidden.1.elements, "\(text)")
        }
    }

    @Test("none leave everything as it is")
    func none() throws {
        let (before, after, words) = try add(old, to: base)
        #expect(words.words.isEmpty && after.vocabularySize == before.vocabularySize)
        #expect(words.extended(configuration(before)) == configuration(before))
    }
}
