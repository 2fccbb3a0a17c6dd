import Foundation
import Testing
import Wuerstchen

/// Prompts of files, in JSON, with choices and weights, and as embeddings.
@Suite("Many prompts", .serialized) struct RequestLineTests {
    private let examples: ExamplesTests

    init() throws {
        examples = try ExamplesTests()
    }

    private func run(_ arguments: String...) throws -> ExamplesTests.Outcome {
        try examples.run("text-to-image", arguments + ["--fast"])
    }

    private func write(_ text: String, to name: String) throws {
        let file = examples.folder.appendingPathComponent(name)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
    }

    private func record(_ name: String) throws -> GenerationRecord {
        try GenerationRecord(contentsOf: examples.folder.appendingPathComponent(name))
    }

    private func image(_ name: String) throws -> Image {
        try Image(contentsOf: examples.folder.appendingPathComponent(name))
    }

    @Test("Lines are prompts or requests, and what a request leaves out is the command line's")
    func lines() throws {
        defer { try? FileManager.default.removeItem(at: examples.folder) }
        try write(
            """
            a red (house)

            {"prompt": "a boat", "seed": 3, "width": 130, "height": 140, "count": 2, "negative": "x"}
              { "vary": "image-1.png", "stage_b_seed": 18446744073709551615 }
            """, to: "requests.txt")
        let first = try run("a house", "--seed", "9", "--output", "image-1.png")
        #expect(first.status == 0, "\(first.errors)")
        let made = try run(
            "--prompts", "requests.txt", "--seed", "9", "--output", "{number}.png", "--json")
        #expect(made.status == 0, "\(made.errors)")
        #expect(try record("1.png").prompt == "a red (house)" && record("1.png").seed == 9)
        for (name, seed) in [("2.png", 3), ("3.png", 4)] {
            let record = try record(name)
            #expect(record.prompt == "a boat" && record.negativePrompt == "x")
            #expect(record.size == ImageSize(width: 130, height: 140))
            #expect(record.seed == UInt64(seed))
        }
        let last = try record("4.png")
        #expect(last.startsFromImage && last.stageBSeed == .max && last.seed == 9)
        let events = made.output.split(separator: "\n")
        #expect(events.filter { $0.contains(#""event":"start""#) }.count == 3)
        let alone = try run(
            "a boat", "--seed", "4", "--width", "130", "--height", "140", "--negative", "x",
            "--output", "alone")
        #expect(alone.status == 0, "\(alone.errors)")
        #expect(try image("alone.png") == image("3.png"))
    }

    @Test(
        "A bad line is refused by its number before any image is made",
        arguments: [
            (#"{"prompt": "a", "sede": 3}"#, "has no sede"), (#"{"prompt": 3}"#, "prompt"),
            (#"{"prompt": "a", "width": 100}"#, "128"), (#"{"prompt": "a", "count": 0}"#, "count"),
            (#"{"prompt": "a""#, "no JSON"), (#"{"seed": 3}"#, "no prompt"),
            (#"{"prompt": "a"} b"#, "no JSON"), (#"[{"prompt": "a"}]"#, "no JSON"),
            ("{", "no JSON"), ("[", "no JSON"), ("{ }", "no prompt"),
            (#"{"prompt": "a", "seed": -2}"#, "seed: "), (#"{"prompt": "a", "seed": 1.5}"#, "seed"),
            (#"{"prompt": "a", "width": 1e99}"#, "width: "),
            (#"{"prompt": "a", "seam": -4}"#, "--image"),
            (#"{"prompt": "a", "image": "none.png"}"#, "none.png"),
            (#"{"prompt": "a", "strength": 0.5}"#, "--image"),
            (#"{"prompt": "a", "sampler": "magic"}"#, "sampler"),
            (#"{"prompt": "a", "guidance_interval": [1]}"#, "two times"),
        ])
    func badLine(_ line: String, _ words: String) throws {
        defer { try? FileManager.default.removeItem(at: examples.folder) }
        try write("a house\n\n\(line)\n", to: "requests.txt")
        let made = try run("--prompts", "requests.txt", "--output", "x.png")
        #expect(made.status != 0)
        #expect(made.errors.contains("requests.txt, line 3: "), "\(made.errors)")
        #expect(made.errors.contains(words), "\(made.errors)")
        let files = try FileManager.default.contentsOfDirectory(atPath: examples.folder.path)
        #expect(!files.contains { $0.hasSuffix(".png") })
    }

    @Test("Each image makes choices of its own, and its seed makes them again")
    func choices() throws {
        defer { try? FileManager.default.removeItem(at: examples.folder) }
        try write("red\ngreen\nblue\nyellow\n", to: "words/colour.txt")
        let template = "a __colour__ {house|boat|tree|balloon}"
        let made = try run(
            template, "--wildcard-folder", "words", "--count", "4", "--seed", "1", "--output",
            "{seed}.png")
        #expect(made.status == 0, "\(made.errors)")
        let prompts = try (1...4).map { try record("\($0).png").prompt }
        #expect(Set(prompts).count > 1 && !prompts.contains { $0.contains("_") })
        let again = try run(
            template, "--wildcard-folder", "words", "--seed", "3", "--output", "again.png")
        #expect(again.status == 0, "\(again.errors)")
        #expect(try image("again.png") == image("3.png"))
        let repeated = try run("--repeat", "3.png", "--output", "repeated.png")
        #expect(repeated.status == 0, "\(repeated.errors)")
        let both = try run(
            "a {a|b|c|d|e|f|g} house", "--negative", "{a|b|c|d|e|f|g}", "--wildcards", "--count",
            "6", "--seed", "1", "--output", "both-{seed}.png")
        #expect(both.status == 0, "\(both.errors)")
        let pairs = try (1...6).map { try record("both-\($0).png") }
            .map { (prompt: $0.prompt, negative: $0.negativePrompt) }
        #expect(pairs.allSatisfy { $0.negative.count == 1 })
        // One does not say what the other is.
        #expect(pairs.contains { $0.prompt != "a \($0.negative) house" })
        let plain = try run("a {red} __house__", "--output", "plain.png")
        #expect(plain.status == 0, "\(plain.errors)")
        #expect(try record("plain.png").prompt == "a {red} __house__")
    }

    @Test("Weights count only if they are asked for, and embeddings stand in for a prompt")
    func weights() throws {
        defer { try? FileManager.default.removeItem(at: examples.folder) }
        let prompt = "a (red:2) house"
        for (name, arguments) in [
            ("plain", [prompt]), ("weighted", [prompt, "--prompt-weights"]),
            ("none", ["a red house", "--prompt-weights"]), ("text", ["a red house"]),
        ] {
            let made = try examples.run(
                "text-to-image", arguments + ["--fast", "--seed", "2", "--output", name])
            #expect(made.status == 0, "\(made.errors)")
        }
        #expect(try image("none.png") == image("text.png"))
        #expect(try image("weighted.png") != image("text.png"))
        #expect(try image("weighted.png") != image("plain.png"))
        let repeated = try run("--repeat", "weighted.png", "--output", "r.png")
        #expect(repeated.status == 0, "\(repeated.errors)")
        let saved = try run(prompt, "--prompt-weights", "--save-embeddings", "e.safetensors")
        #expect(saved.status == 0, "\(saved.errors)")
        #expect(
            !FileManager.default.fileExists(
                atPath: examples.folder.appendingPathComponent("image.png").path))
        let made = try run(
            "--embeddings", "e.safetensors", "--seed", "2", "--output", "embedded.png")
        #expect(made.status == 0, "\(made.errors)")
        #expect(try image("embedded.png") == image("weighted.png"))
        let without = try run("--repeat", "embedded.png", "--output", "r.png")
        #expect(without.status != 0 && without.errors.contains("embeddings"), "\(without.errors)")
        let with = try run(
            "--repeat", "embedded.png", "--embeddings", "e.safetensors", "--output", "r.png")
        #expect(with.status == 0, "\(with.errors)")
        for (arguments, words) in [
            (["a", "--embeddings", "e.safetensors"], "exclude"),
            (["a (red", "--prompt-weights"], "without its other"),
            (["a {red", "--wildcards"], "without its other"),
            (["--embeddings", "r.png"], "r.png"),
        ] {
            let outcome = try examples.run("text-to-image", arguments + ["--fast"])
            #expect(outcome.status != 0 && outcome.errors.contains(words), "\(outcome.errors)")
        }
    }
}
