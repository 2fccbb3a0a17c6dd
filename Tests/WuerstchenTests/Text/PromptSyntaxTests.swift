import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@Suite("Weights, choices and embeddings of prompts") struct PromptSyntaxTests {
    private func parts(_ prompt: String) throws -> [String] {
        try WeightedPrompt(prompt).parts.map {
            "\($0.text)|\(Double(($0.weight * 1000).rounded()) / 1000)"
        }
    }

    @Test(
        "the notation of weights",
        arguments: [
            ("a red house", ["a red house|1.0"]), ("", []), ("()", []),
            ("a (red) house", ["a |1.0", "red|1.1", " house|1.0"]),
            ("(red:1.3)", ["red|1.3"]), ("(red: 0.5 ), blue", ["red|0.5", ", blue|1.0"]),
            ("((red))", ["red|1.21"]), ("((red) house:2)", ["red|2.2", " house|2.0"]),
            ("((red:1.5):2)", ["red|3.0"]), ("(a:b:1.2)", ["a:b|1.2"]),
            (#"\(red\) \\ \: \x"#, [#"(red) \ : \x|1.0"#]), (#"(16\:9)"#, ["16:9|1.1"]),
            ("(a: red)", ["a: red|1.1"]), ("16:9", ["16:9|1.0"]), ("(red:1)x", ["redx|1.0"]),
            ("(red:0)", ["red|0.0"]),
        ])
    func notation(_ prompt: String, _ expected: [String]) throws {
        #expect(try parts(prompt) == expected)
        let plain = try WeightedPrompt(prompt, syntax: .plain)
        #expect(plain.text == prompt && plain.parts.allSatisfy { $0.weight == 1 })
    }

    @Test(
        "what cannot be read is refused",
        arguments: [
            ("a (red", "( without"), ("a red)", ") without"), ("((a)", "( without"),
            (String(repeating: "(", count: 40), "32 deep"), ("(a:99)", "weight of 99"),
            ("(a:-1)", "weight of -1"), ("(a:nan)", "weight of nan"),
        ])
    func refused(_ prompt: String, _ words: String) throws {
        expectError(.invalidRequest, words) { _ = try WeightedPrompt(prompt) }
        var request = GenerationRequest(prompt)
        try request.validate()
        request.promptSyntax = .weighted
        expectError(.invalidRequest, words) { try request.validate() }
    }

    @Test("weights move hidden states along the line from the empty prompt's, and 1 moves nothing")
    func embedding() throws {
        let encoder = try TinyCascade.load().textEncoder()
        let tokenizer = encoder.tokenizer
        let plain = try encoder.encode("a red house").prompts.elements
        #expect(try encoder.encode("a (red:1) house", syntax: .weighted).prompts.elements == plain)
        #expect(try encoder.encode("a red house", syntax: .weighted).prompts.elements == plain)
        let empty = try encoder.encode("").prompts
        let channels = empty.shape[2]
        let (encoding, weights) = tokenizer.encode(try WeightedPrompt("a (red:1.5) house"))
        #expect(encoding == tokenizer.encode("a red house"))
        #expect(weights.contains(1.5) && weights.count == tokenizer.length)
        let moved = try encoder.encode("a (red:1.5) house", syntax: .weighted).prompts.elements
        for (index, value) in moved.enumerated() {
            let (weight, origin) = (weights[index / channels], empty.elements[index])
            let expected = weight == 1 ? plain[index] : origin + weight * (plain[index] - origin)
            #expect(value == expected)
        }
        // Without weight a word is what the empty prompt has in its place.
        let none = try encoder.encode("(red house:0)", syntax: .weighted).prompts.elements
        let (_, zeros) = tokenizer.encode(try WeightedPrompt("(red house:0)"))
        for index in none.indices where zeros[index / channels] == 0 {
            #expect(none[index] == empty.elements[index])
        }
    }

    @Test("weights beyond the encoder's length are cut, and said to be")
    func truncated() throws {
        let tokenizer = try TinyCascade.load().textEncoder().tokenizer
        let long = String(repeating: "red ", count: 200)
        let (encoding, weights) = tokenizer.encode(try WeightedPrompt("(a:1.2) (\(long):1.4)"))
        #expect(encoding.isTruncated && encoding.count == tokenizer.length)
        #expect(encoding.ids == tokenizer.encode("a \(long)").ids)
        #expect(weights.last == 1 && weights[tokenizer.length - 2] == 1.4)
    }

    @Test("both stages and the record read the syntax")
    func images() throws {
        let cascade = try TinyCascade.load()
        var request = try TinyCascade.request("a (red:3) house")
        let plain = try cascade.makeImages(for: request)[0]
        request.promptSyntax = .weighted
        let weighted = try cascade.makeImages(for: request)[0]
        #expect(weighted != plain)
        let record = try cascade.record(of: request)
        #expect(try cascade.makeImages(for: record.request()) == [weighted])
        request.prompt = "a red house"
        #expect(try cascade.makeImages(for: request)[0] != weighted)
    }

    @Test("choices depend on the seed alone, and every alternative comes up")
    func choices() throws {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        func write(_ text: String, _ name: String) throws {
            try Data(text.utf8).write(to: folder.appendingPathComponent("\(name).txt"))
        }
        try write("# colours\nred\n\n {dark|light} blue \r\n", "colour")
        try write("__circle__", "circle")
        try write("# nothing\n", "none")
        try write("{__many__ __many__}", "many")
        try write("version https://git-lfs.github.com/spec/v1\n", "pointer")
        try Data([0x72, 0xE9, 0x64]).write(to: folder.appendingPathComponent("latin.txt"))
        let wildcards = Wildcards(folder: folder)
        let template = #"a {__colour__|{green|}} \{house\}_x_ __y"#
        let prompts = try (0..<200).map { try wildcards.prompt(of: template, seed: $0) }
        #expect(
            Set(prompts)
                == Set(
                    ["red", "dark blue", "light blue", "green", ""].map { "a \($0) {house}_x_ __y" }
                ))
        for seed in 0..<20 {
            #expect(try wildcards.prompt(of: template, seed: UInt64(seed)) == prompts[seed])
        }
        // Each of two is as likely as the other: 1000 throws are within five deviations.
        let heads = try (0..<1000).filter { try wildcards.prompt(of: "{a|b}", seed: $0) == "a" }
        #expect(abs(heads.count - 500) < 80)
        for (template, code, words) in [
            ("{a", .invalidRequest, "{ without"), ("a}", .invalidRequest, "} without"),
            ("__latin__", .malformedFile, "UTF-8"), ("__pointer__", .malformedFile, "git-lfs"),
            ("__missing__", .fileNotFound, "missing.txt"), ("__none__", .malformedFile, "no lines"),
            ("__circle__", .invalidRequest, "circle"), ("__many__", .invalidRequest, "circle"),
            (String(repeating: "{a}", count: 10_001), .invalidRequest, "10000 of them"),
        ] as [(String, WuerstchenError.Code, String)] {
            expectError(code, words) { _ = try wildcards.prompt(of: template, seed: 0) }
        }
        expectError(.invalidRequest, "no folder") {
            _ = try Wildcards().prompt(of: "__colour__", seed: 0)
        }
        #expect(try Wildcards().prompt(of: #"\__a\__ {}"#, seed: 0) == "__a__ ")
    }

    @Test("embeddings of a file make the image of their prompt, and others are refused")
    func embeddings() throws {
        let cascade = try TinyCascade.load()
        let file = FileManager.default.temporaryDirectory
            .appendingPathComponent("\(UUID().uuidString).safetensors")
        defer { try? FileManager.default.removeItem(at: file) }
        var request = try TinyCascade.request(
            "a (red:2) house", negativePrompt: "dark", stageBGuidance: 2)
        request.promptSyntax = .weighted
        let image = try cascade.makeImages(for: request)[0]
        try cascade.embeddings(of: request.prompt, negativePrompt: "dark", syntax: .weighted)
            .write(to: file)
        let read = try PromptEmbeddings(contentsOf: file)
        #expect(read.prompt == request.prompt && read.negativePrompt == "dark")
        var other = try TinyCascade.request("", stageBGuidance: 2)
        other.embeddings = read
        #expect(try cascade.makeImages(for: other) == [image])
        let record = try cascade.record(of: other)
        #expect(record.readsEmbeddings && !record.weights.contains { $0.part.contains("text") })
        #expect(try cascade.makeImages(for: record.request(embeddings: read)) == [image])
        expectError(.invalidRequest, "embeddings with the digest \(read.digest)") {
            _ = try record.request()
        }
        let wide = TextEmbedding<StageC>(prompts: Tensor(repeating: 0, [1, 4, 7]))
        let bare = TextEmbedding<StageC>(prompts: read.stageC.prompts)
        for (embeddings, words) in [
            (PromptEmbeddings(stageC: wide, stageB: read.stageB, prompt: ""), "[1, 4, 7]"),
            (PromptEmbeddings(stageC: bare, stageB: read.stageB, prompt: ""), "negative prompt"),
            (PromptEmbeddings(stageC: read.stageC, prompt: ""), "Stage B"),
        ] {
            other.embeddings = embeddings
            expectError(.invalidRequest, words) { _ = try cascade.makeImages(for: other) }
        }
        for (tensors, words) in [
            (["stage_c.prompt": [2, 3]], "expected [1, tokens, channels]"),
            (["stage_b.prompt": [1, 3, 4]], "no stage_c.prompt"),
            (["stage_c.prompt": [1, 3, 4], "stage_c.negative": [1, 2, 4]], "same shape"),
            (["other": [1]], "the tensor other"),
        ] as [([String: [Int]], String)] {
            try Safetensors.write(
                tensors.map { name, shape in
                    Safetensors.Source(name: name, elementType: .f32, shape: shape) { write in
                        let zeros = [Float](repeating: 0, count: shape.reduce(1, *))
                        try zeros.withUnsafeBytes { try write($0) }
                    }
                }, to: file)
            expectError(.incompatibleParameters, words) {
                _ = try PromptEmbeddings(contentsOf: file)
            }
        }
    }
}
