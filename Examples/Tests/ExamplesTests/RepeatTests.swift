import Foundation
import Testing
import Wuerstchen

/// Images made again from their files, on the students of the miniature and its previews.
@Suite("Repeating", .serialized) struct RepeatTests {
    private let examples: ExamplesTests

    init() throws {
        examples = try ExamplesTests()
    }

    private func image(_ name: String) throws -> Image {
        try Image(contentsOf: examples.folder.appendingPathComponent(name))
    }

    private func run(_ arguments: [String]) throws -> ExamplesTests.Outcome {
        try examples.run("text-to-image", arguments)
    }

    @Test(
        "An image is made again bit for bit, with nothing said but its weights and images",
        arguments: [
            (["a red house"], ["--fast"]),
            (["a boat", "--count", "2", "--stage-b-seed", "9", "--width", "130"], ["--fast"]),
            (
                [
                    "a tree", "--decoder", "preview", "--stage-c-steps", "3", "--sampler",
                    "dpmpp-2m", "--guidance-interval", "0.2-0.9", "--guidance-rescale", "0.7",
                    "--negative", "dark", "--precision", "bfloat16", "--height", "128",
                ], []
            ),
            ([], ["--fast", "--vary", "photo.png"]),
            (
                ["a house", "--seam", "3"],
                ["--fast", "--image", "photo.png", "--mask", "mask.png"]
            ),
        ])
    func again(_ asked: [String], _ named: [String]) throws {
        defer { try? FileManager.default.removeItem(at: examples.folder) }
        let photo = try Image(
            width: 140, height: 130,
            pixels: (0..<140 * 130).flatMap { index -> [UInt8] in
                [UInt8(index % 140), UInt8(index / 140), 90]
            })
        try photo.write(to: examples.folder.appendingPathComponent("photo.png"))
        let mask = try Image(
            width: 140, height: 130,
            pixels: (0..<140 * 130).flatMap { index -> [UInt8] in
                [UInt8](repeating: index % 140 < 60 ? 255 : 0, count: 3)
            })
        try mask.write(to: examples.folder.appendingPathComponent("mask.png"))
        let made = try run(asked + named + ["--output", "a-{number}.png"])
        #expect(made.status == 0, "\(made.errors)")
        let first = asked.contains("--count") ? "a-2.png" : "a-1.png"
        let again = try run(["--repeat", first, "--output", "b.png"] + named)
        #expect(again.status == 0, "\(again.errors)")
        #expect(again.errors.contains("bit for bit"), "\(again.errors)")
        let (one, two) = (try image(first), try image("b.png"))
        #expect(one == two)
        // The second file has the same record.
        let files = [first, "b.png"].map { examples.folder.appendingPathComponent($0) }
        #expect(
            try GenerationRecord(contentsOf: files[0]) == GenerationRecord(contentsOf: files[1]))
    }

    @Test("Other weights are refused by name, and so is what the file says already")
    func refused() throws {
        defer { try? FileManager.default.removeItem(at: examples.folder) }
        let made = try run(["a boat", "--fast", "--output", "a.png", "--seed", "3"])
        #expect(made.status == 0, "\(made.errors)")
        for (arguments, words) in [
            ([], "Only the image's: Stage C"), (["--fast", "--seed", "3"], "leave out --seed"),
            (["--fast", "a boat"], "leave out a prompt"),
            (["--fast", "--vary", "a.png"], "without an image (--image)"),
        ] {
            let outcome = try run(["--repeat", "a.png", "--output", "b.png"] + arguments)
            #expect(outcome.status != 0)
            #expect(outcome.errors.contains(words), "\(outcome.errors)")
        }
        let encoded = try run(["a boat", "--save-embeddings", "e.safetensors"])
        #expect(encoded.status == 0, "\(encoded.errors)")
        let from = try run(["--embeddings", "e.safetensors", "--fast", "--output", "c.png"])
        #expect(from.status == 0, "\(from.errors)")
        let without = try run(["--repeat", "c.png", "--fast", "--output", "b.png"])
        #expect(
            without.status != 0 && without.errors.contains("give those too (--embeddings)"),
            "\(without.errors)")
        let wrong = try run(["--repeat", "a.png", "--output", "b.png"])
        #expect(wrong.errors.contains("Stage C") && !wrong.errors.contains("Stage A"))
        #expect(wrong.errors.contains("--fast"), "\(wrong.errors)")
        #expect(
            !FileManager.default.fileExists(
                atPath: examples.folder.appendingPathComponent("b.png").path))
    }

    @Test("An image that was changed does not pass for the same")
    func changed() throws {
        defer { try? FileManager.default.removeItem(at: examples.folder) }
        let made = try run(["a boat", "--fast", "--output", "a.png"])
        #expect(made.status == 0, "\(made.errors)")
        let file = examples.folder.appendingPathComponent("a.png")
        let (image, text, _) = try Image.read(contentsOf: file)
        var pixels = image.pixels
        pixels[7] ^= 1
        try Image(width: image.width, height: image.height, pixels: pixels)
            .write(to: file, text: text.map { ($0.key, $0.value) })
        let again = try run(["--repeat", "a.png", "--fast", "--output", "b.png"])
        #expect(again.status != 0 && again.errors.contains("not the same"), "\(again.errors)")
        #expect(try self.image("b.png") == image)
    }

    @Test("Events are one JSON object a line, with nothing else on standard output")
    func events() throws {
        defer { try? FileManager.default.removeItem(at: examples.folder) }
        let made = try run([
            "a boat", "--fast", "--json", "--seed", "5", "--count", "2", "--previews", "p",
        ])
        #expect(made.status == 0, "\(made.errors)")
        let lines = try made.output.split(separator: "\n").map {
            try #require(
                JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        let kinds = lines.compactMap { $0["event"] as? String }
        #expect(
            kinds == ["start", "step", "preview", "preview"]
                + Array(repeating: "step", count: 4) + ["image", "image"])
        #expect(lines[0]["prompt"] as? String == "a boat" && lines[0]["count"] as? Int == 2)
        #expect(lines[1]["stage"] as? String == "Stage C" && lines[1]["total"] as? Int == 5)
        for (index, line) in lines.suffix(2).enumerated() {
            #expect(line["seed"] as? Int == 5 + index)
            let path = try #require(line["path"] as? String)
            #expect(try Image(contentsOf: URL(fileURLWithPath: path)).width == 256)
            #expect((line["seconds"] as? Double ?? 0) > 0)
        }
        let failed = try run(["a boat", "--fast", "--json", "--width", "100"])
        #expect(failed.status != 0 && failed.errors.contains("100"))
        let error = try #require(
            JSONSerialization.jsonObject(with: Data(failed.output.utf8)) as? [String: Any])
        #expect(
            error["event"] as? String == "error" && error["code"] as? String == "invalid request")
        let both = try run(["a boat", "--fast", "--json", "--output", "-"])
        #expect(both.status != 0 && both.output.contains("both need standard output"))
    }
}
