import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// The files of a tiny tokenizer: all byte symbols, a few merges and the two special tokens.
private struct TinyTokenizer {
    static let merges = ["t h", "th e</w>", "c a", "ca t</w>", "Ã ©</w>", "! !</w>", "' s</w>"]

    var vocabulary: [String: Int]
    var files: [String: String] = [:]

    init(length: Int = 16) throws {
        var symbols: [String] = []
        var substitute: UInt32 = 0x100
        for byte in UInt32(0)...255 {
            let isVisible = [33...126, 161...172, 174...255].contains { $0.contains(byte) }
            let scalar = try #require(Unicode.Scalar(isVisible ? byte : substitute))
            symbols.append(String(Character(scalar)))
            if !isVisible { substitute += 1 }
        }
        symbols += symbols.map { $0 + "</w>" }
        symbols += Self.merges.map { $0.replacing(" ", with: "") }
        symbols += ["<|startoftext|>", "<|endoftext|>"]
        vocabulary = Dictionary(uniqueKeysWithValues: zip(symbols, 0...))
        files["vocab.json"] = try Self.json(vocabulary)
        files["merges.txt"] = "#version: 0.2\n" + Self.merges.joined(separator: "\n") + "\n"
        files["tokenizer_config.json"] = #"{"model_max_length": \#(length)}"#
    }

    static func json(_ value: some Encodable) throws -> String {
        String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
    }

    /// Writes the files to a temporary folder and opens it.
    func open(without missing: String...) throws -> CLIPTokenizer {
        let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for (name, text) in files where !missing.contains(name) {
            try Data(text.utf8).write(to: folder.appending(path: name))
        }
        return try CLIPTokenizer(contentsOf: folder)
    }

    /// The ids of symbols written with a space between them.
    func ids(_ symbols: String) throws -> [Int] {
        try symbols.split(separator: " ").map { try #require(vocabulary[String($0)]) }
    }
}

extension CLIPTokenizer {
    /// The ids between the start and the end token.
    fileprivate func content(_ text: String) -> [Int] {
        let encoding = encode(text)
        return Array(encoding.ids[1..<(encoding.count - 1)])
    }
}

@Suite("CLIP tokenizer")
struct CLIPTokenizerTests {
    @Test(
        "Splitting, normalisation and merges",
        arguments: [
            ("the cat", "the</w> cat</w>"),
            (" THE \t\r\n\u{A0}\u{3000} Cat ", "the</w> cat</w>"),
            ("thecat", "th e cat</w>"),
            ("cat's", "cat</w> 's</w>"),
            ("I'LL'VE'd", "i</w> ' l l</w> ' v e</w> ' d</w>"),
            ("'x ''s", "'</w> x</w> ' '</w> s</w>"),
            ("3.14", "3</w> .</w> 1</w> 4</w>"),
            ("cat42", "cat</w> 4</w> 2</w>"),
            ("cat!!", "cat</w> !!</w>"),
            ("!!!", "! !!</w>"),
            ("é É e\u{301} E\u{301}", "é é é é"),
            ("Σ", "Ï ĥ</w>"),
            ("\u{301}", "Ì ģ</w>"),
            ("\u{CF00}\u{11AF}", "ì ¼ Ī</w>"),
            ("\u{20041}\u{300}", "ð ł ģ ģ</w> Ì Ģ</w>"),
            ("\0", "Ā</w>"),
            ("", ""),
            (" \n\t\u{2003}", ""),
        ])
    func pieces(text: String, symbols: String) throws {
        let tiny = try TinyTokenizer()
        let spelled = symbols.replacing("é", with: "Ã©</w>")
        #expect(try tiny.open().content(text) == tiny.ids(spelled))
    }

    @Test("The start token is found in any case, the end token only as it is written")
    func specialTokensInText() throws {
        let tiny = try TinyTokenizer(length: 77)
        let tokenizer = try tiny.open()
        let (start, end) = (tokenizer.startToken, tokenizer.endToken)
        #expect(
            tokenizer.content("the<|endoftext|>cat") == [try tiny.ids("the</w>")[0], end]
                + (try tiny.ids("cat</w>")))
        #expect(tokenizer.content("!<|startoftext|>") == (try tiny.ids("!</w>")) + [start])
        #expect(tokenizer.content("<|StartOfText|>") == [start])
        #expect(
            tokenizer.content("<|ENDOFTEXT|>")
                == (try tiny.ids("< |</w> e n d o f t e x t</w> | ></w>")))
        #expect(tokenizer.content("<|endoftext|><|endoftext|>") == [end, end])
    }

    @Test("tokenizer.json says which tokens are found before normalisation")
    func addedTokens() throws {
        var tiny = try TinyTokenizer()
        let extra = tiny.vocabulary.count
        tiny.files["tokenizer.json"] = """
            {"added_tokens": [
                {"id": \(extra - 1), "content": "<|endoftext|>", "normalized": true},
                {"id": \(extra), "content": "<Thing>", "normalized": false}]}
            """
        let tokenizer = try tiny.open()
        #expect(tokenizer.vocabularySize == extra + 1)
        #expect(tokenizer.content("<|EndOfText|>") == [tokenizer.endToken])
        #expect(
            tokenizer.content("the<Thing>cat") == (try tiny.ids("the</w>")) + [extra]
                + (try tiny.ids("cat</w>")))
        #expect(tokenizer.content("<thing>") == (try tiny.ids("<</w> th i n g</w> ></w>")))
    }

    @Test("A short text is padded and the padding masked")
    func padding() throws {
        var tiny = try TinyTokenizer(length: 6)
        tiny.files["special_tokens_map.json"] = #"{"pad_token": {"content": "!"}}"#
        let tokenizer = try tiny.open()
        let pad = try tiny.ids("!")[0]
        let encoding = tokenizer.encode("the cat")
        let text = try tiny.ids("the</w> cat</w>")
        #expect(tokenizer.padToken == pad)
        #expect(encoding.ids == [tokenizer.startToken] + text + [tokenizer.endToken, pad, pad])
        #expect(encoding.count == 4)
        #expect(encoding.mask == [true, true, true, true, false, false])
        #expect(!encoding.isTruncated)
    }

    @Test("A long text is cut and still ends with the end token")
    func truncation() throws {
        let tiny = try TinyTokenizer(length: 5)
        let tokenizer = try tiny.open()
        let exact = tokenizer.encode("the the cat")
        let cut = tokenizer.encode("the the cat cat")
        #expect(exact.count == 5 && !exact.isTruncated)
        #expect(cut.ids == exact.ids && cut.count == 5 && cut.isTruncated)
        #expect(cut.mask.allSatisfy { $0 })
        #expect(tokenizer.encode("the catthe").isTruncated)
        #expect(tokenizer.unreadEnd(of: "the catthe") == "catthe")
    }

    @Test("Words without a symbol are unknown to a small vocabulary, to a large one those of bytes")
    func unknownWords() throws {
        var tiny = try TinyTokenizer(length: 40)
        let text = "The cat's dog, the mat: qat!! Dog a é 7 日"
        #expect(try tiny.open().unknownWords(in: text) == ["dog", "mat", "qat", "日"])
        #expect(try tiny.open().unknownWords(in: "").isEmpty)
        for id in tiny.vocabulary.count..<10_000 { tiny.vocabulary["symbol\(id)"] = id }
        tiny.vocabulary["at</w>"] = 10_000
        tiny.files["vocab.json"] = try TinyTokenizer.json(tiny.vocabulary)
        tiny.files["merges.txt", default: ""] += "a t</w>\n"
        #expect(try tiny.open().unknownWords(in: text) == ["dog", "日"])
        // No more than an encoder reads, and no more than anybody would.
        let many = (0..<100).map { String(repeating: "x", count: $0 + 2) }.joined(separator: " ")
        #expect(try tiny.open().unknownWords(in: many).count == 16)
        #expect(try TinyTokenizer(length: 6).open().unknownWords(in: many).count == 4)
    }

    @Test("Bytes whose symbols are missing are the unknown token")
    func unknownBytes() throws {
        var tiny = try TinyTokenizer()
        tiny.vocabulary["z"] = nil
        tiny.files["vocab.json"] = try TinyTokenizer.json(tiny.vocabulary)
        let tokenizer = try tiny.open()
        #expect(tokenizer.content("za") == [tokenizer.endToken] + (try tiny.ids("a</w>")))
    }

    @Test("Without a configuration the length is 77 and the tokens are CLIP's")
    func defaults() throws {
        var tiny = try TinyTokenizer()
        let tokenizer = try tiny.open(without: "tokenizer_config.json")
        #expect(tokenizer.length == 77)
        #expect(tokenizer.startToken == tiny.vocabulary["<|startoftext|>"])
        #expect(tokenizer.endToken == tiny.vocabulary["<|endoftext|>"])
        #expect(tokenizer.padToken == tokenizer.endToken)
        #expect(tokenizer.vocabularySize == tiny.vocabulary.count)

        tiny.files["tokenizer_config.json"] =
            #"{"model_max_length": 1000000000000000019884624838656, "bos_token": "<", "pad_token": null}"#
        let other = try tiny.open()
        #expect(other.length == 77)
        #expect(other.startToken == tiny.vocabulary["<"])
    }

    @Test("tokenizer.json alone is enough, with either way of writing merges")
    func tokenizerFileAlone() throws {
        var tiny = try TinyTokenizer()
        let expected = try tiny.open().encode("the cat's é")
        let pairs = TinyTokenizer.merges.map { $0.split(separator: " ").map(String.init) }
        for merges in [
            try TinyTokenizer.json(TinyTokenizer.merges), try TinyTokenizer.json(pairs),
        ] {
            tiny.files["tokenizer.json"] = """
                {"model": {"type": "BPE", "end_of_word_suffix": "</w>", "merges": \(merges),
                "vocab": \(try TinyTokenizer.json(tiny.vocabulary))}}
                """
            #expect(try tiny.open(without: "vocab.json").encode("the cat's é") == expected)
            #expect(try tiny.open(without: "merges.txt").encode("the cat's é") == expected)
        }
    }

    @Test("Line ends of Windows and blank lines at the end are accepted")
    func lineEnds() throws {
        var tiny = try TinyTokenizer()
        tiny.files["merges.txt"] = TinyTokenizer.merges.joined(separator: "\r\n") + "\r\n\r\n"
        #expect(try tiny.open().content("the") == tiny.ids("the</w>"))
    }

    @Test(
        "A file that is wrong is named, with what was found",
        arguments: [
            ("vocab.json", "[", WuerstchenError.Code.malformedFile, "JSON"),
            ("vocab.json", "[1]", .malformedFile, "top level"),
            ("vocab.json", #"{"a": "b"}"#, .malformedFile, "'a'"),
            ("vocab.json", #"{"a": 1.5}"#, .malformedFile, "'a'"),
            ("vocab.json", #"{"a": -1}"#, .invalidVocabulary, "-1"),
            ("vocab.json", #"{"a": 7, "b": 7}"#, .invalidVocabulary, "'a' the id 7"),
            ("vocab.json", #"{"a": 9999999999}"#, .invalidVocabulary, "9999999999"),
            ("vocab.json", #"{"a": 0}"#, .invalidVocabulary, "<|endoftext|>"),
            ("merges.txt", "t h\na\n", .malformedFile, "line 2, is 'a'"),
            ("merges.txt", "t h\n\nth e\n", .malformedFile, "line 2"),
            ("merges.txt", "#version: 0.2\na b c\n", .malformedFile, "line 2, is 'a b c'"),
            ("merges.txt", "t  h\n", .malformedFile, "line 1"),
            ("merges.txt", "xx y\n", .invalidVocabulary, "'xxy'"),
            ("merges.txt", "日 c\n", .invalidVocabulary, "line 1"),
            ("merges.txt", "t h\nt h\n", .invalidVocabulary, "line 2"),
            ("tokenizer_config.json", "{", .malformedFile, "JSON"),
            ("tokenizer_config.json", #"{"model_max_length": "x"}"#, .malformedFile, "max_length"),
            ("tokenizer_config.json", #"{"model_max_length": 1}"#, .invalidVocabulary, "1.0"),
            ("tokenizer_config.json", #"{"model_max_length": 7.5}"#, .invalidVocabulary, "7.5"),
            ("tokenizer_config.json", #"{"pad_token": 3}"#, .malformedFile, "pad_token"),
            ("tokenizer.json", "7", .malformedFile, "top level"),
            (
                "tokenizer.json", #"{"added_tokens": [{"content": "q"}]}"#, .malformedFile,
                "'id' is missing"
            ),
            (
                "tokenizer.json", #"{"added_tokens": [{"content": "a", "id": 5000}]}"#,
                .invalidVocabulary, "5000"
            ),
            (
                "tokenizer.json", #"{"added_tokens": [{"content": "", "id": 5000}]}"#,
                .invalidVocabulary, "not empty"
            ),
        ])
    func wrongFile(
        name: String, contents: String, code: WuerstchenError.Code, finding: String
    ) throws {
        var tiny = try TinyTokenizer()
        tiny.files[name] = contents
        let error = try #require(throws: WuerstchenError.self) { try tiny.open() }
        #expect(error.code == code)
        #expect(error.message.contains(name) && error.message.contains(finding), "\(error)")
    }

    @Test("A special token that is not in the vocabulary is named")
    func missingSpecialToken() throws {
        var tiny = try TinyTokenizer()
        tiny.files["tokenizer_config.json"] = #"{"bos_token": "<nowhere>"}"#
        let error = try #require(throws: WuerstchenError.self) { try tiny.open() }
        #expect(error.code == .invalidVocabulary)
        #expect(error.message.contains("bos_token '<nowhere>'"))
        #expect(error.message.contains("vocab.json"))
    }

    @Test("Missing and unreadable files are told apart")
    func missingFiles() throws {
        let tiny = try TinyTokenizer()
        let missing = try #require(throws: WuerstchenError.self) {
            try tiny.open(without: "merges.txt")
        }
        #expect(missing.code == .fileNotFound)
        #expect(missing.message.contains("has no merges.txt"))

        let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(
            at: folder.appending(path: "vocab.json"), withIntermediateDirectories: true)
        let unreadable = try #require(throws: WuerstchenError.self) {
            try CLIPTokenizer(contentsOf: folder)
        }
        #expect(unreadable.code == .unreadableFile)
        #expect(unreadable.message.contains("vocab.json"))
    }

    @Test("Other kinds of model are refused")
    func otherModel() throws {
        var tiny = try TinyTokenizer()
        tiny.files["tokenizer.json"] = #"{"model": {"type": "BPE", "vocab": {}, "merges": []}}"#
        let error = try #require(throws: WuerstchenError.self) {
            try tiny.open(without: "vocab.json")
        }
        #expect(error.code == .invalidVocabulary && error.message.contains("</w>"))
    }

    @Test(
        "Prompts of megabytes are encoded",
        arguments: [
            ("the cat ", 1_250_000), ("cat", 3_333_333), ("!", 10_000_000), ("日本", 1_666_667),
            ("e\u{301}\u{323}", 2_000_000), ("\0", 10_000_000), ("<|endoftext|>", 800_000),
        ])
    func enormousPrompts(unit: String, count: Int) throws {
        let tokenizer = try TinyTokenizer().open()
        let prompt = String(repeating: unit, count: count)
        let time = processorTime {
            let encoding = tokenizer.encode(prompt)
            #expect(encoding.isTruncated)
            #expect(encoding.ids == tokenizer.encode(String(repeating: unit, count: 400)).ids)
        }
        #expect(time < .seconds(60))
    }

    @Test("A run of unsorted marks is put in order in reasonable time")
    func marks() throws {
        let tokenizer = try TinyTokenizer().open()
        let unsorted = String(repeating: "\u{301}\u{323}", count: 100_000)
        let sorted =
            String(repeating: "\u{323}", count: 100_000)
            + String(repeating: "\u{301}", count: 100_000)
        let time = processorTime {
            #expect(tokenizer.encode(unsorted) == tokenizer.encode(sorted))
        }
        #expect(time < .seconds(60))
    }

    @Test(
        "Hangul of today's alphabet composes, and archaic letters do not",
        arguments: [
            ("\u{1100}\u{1161}", 3), ("\u{1112}\u{1175}\u{11C2}", 3), ("\u{AC00}\u{11A8}", 3),
            ("\u{1100}\u{1161}\u{1100}\u{1161}", 6), ("\u{D788}\u{11C2}", 3),
            ("\u{110D}\u{1176}", 6), ("\u{1100}\u{11A2}", 6), ("\u{1113}\u{1161}", 6),
            ("\u{AC00}\u{11C3}", 6), ("\u{AC00}\u{11A7}", 6), ("\u{AC01}\u{11A8}", 6),
            ("\u{1161}\u{11A8}", 6), ("\u{1100}\u{1161}\u{301}\u{11A8}", 8),
            ("\u{A960}\u{1161}", 6), ("\u{1100}\u{D7B0}", 6),
        ])
    func hangul(text: String, bytes: Int) throws {
        // None of these bytes merge, so that each is a token.
        #expect(try TinyTokenizer().open().content(text).count == bytes)
    }

    @Test(
        "Runs of what composes take time in proportion to their length",
        arguments: [
            "\u{1100}", "\u{1161}", "\u{11A8}", "\u{1176}", "\u{AC00}", "\u{AC00}\u{11A8}",
            "\u{1100}\u{1161}\u{11A8}", "\u{302E}", "\u{1D165}", "\u{20DD}", "\u{301}",
            "\u{315}\u{316}\u{301}", "\u{1D165}\u{302E}", "\u{9BE}", "\u{D7B0}",
        ])
    func longRuns(unit: String) throws {
        let tokenizer = try TinyTokenizer().open()
        func time(_ count: Int) -> Duration {
            let text = String(repeating: unit, count: count)
            return processorTime { #expect(tokenizer.encode(text).isTruncated) }
        }
        // Sixteen times as long takes about sixteen times as long, and not 256 times.
        #expect(time(100_000) < time(6250) * 64 + .milliseconds(100))
    }

    @Test("Every scalar has an encoding that ends with the end token")
    func everyScalar() throws {
        let tokenizer = try TinyTokenizer().open()
        for value in stride(from: UInt32(0), through: 0x10FFFF, by: 97) {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let encoding = tokenizer.encode("\(scalar)\u{301}\(scalar)")
            #expect(encoding.ids.count == 16)
            #expect(encoding.ids[encoding.count - 1] == tokenizer.endToken)
        }
    }
}
