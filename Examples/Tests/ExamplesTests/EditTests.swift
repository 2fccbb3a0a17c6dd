import Foundation
import Testing
import Wuerstchen

/// Starting from an image, on the students of the miniature: few steps of each stage.
@Suite("Editing", .serialized) struct EditTests {
    private let examples: ExamplesTests
    private let image: Image

    init() throws {
        examples = try ExamplesTests()
        image = try Image(
            width: 200, height: 150,
            pixels: (0..<200 * 150).flatMap { index -> [UInt8] in
                [UInt8(index % 200), UInt8(index / 200), 90]
            })
        try image.write(to: examples.folder.appendingPathComponent("photo.png"))
    }

    private func made(_ name: String = "image.png") throws -> (Image, [String: String]) {
        let (image, text, _) = try Image.read(
            contentsOf: examples.folder.appendingPathComponent(name))
        return (image, text)
    }

    @Test("Variations and reconstructions need no prompt and have the image's size")
    func withoutPrompt() throws {
        defer { try? FileManager.default.removeItem(at: examples.folder) }
        for option in ["--vary", "--reconstruct"] {
            let outcome = try examples.run(
                "text-to-image", option, "photo.png", "--fast", "--seed", "3")
            #expect(outcome.status == 0, "\(outcome.errors)")
            let (made, text) = try made()
            #expect(made.size == image.size && made != image)
            #expect(text["stage C strength"] == "0.0")
            #expect(text["image"]?.hasSuffix("of 200x150") == true)
        }
        for (option, note) in [
            ("--vary", "the model does not know: zebra"),
            ("--reconstruct", "the prompt changes nothing"),
        ] {
            let outcome = try examples.run(
                "text-to-image", "a zebra", option, "photo.png", "--fast")
            #expect(outcome.status == 0 && outcome.errors.contains(note), "\(outcome.errors)")
        }
        let none = try examples.run("text-to-image", "--fast")
        #expect(none.status != 0 && none.errors.contains("say what to make"))
    }

    @Test("What is wrong with a file beside its pixels is said once")
    func damagedFile() throws {
        defer { try? FileManager.default.removeItem(at: examples.folder) }
        let file = examples.folder.appendingPathComponent("photo.png")
        // Its end, the chunk IEND.
        try Data(contentsOf: file).dropLast(12).write(to: file)
        let outcome = try examples.run(
            "text-to-image", "--vary", "photo.png", "--fast", "--seed", "3", "--count", "2")
        #expect(outcome.status == 0, "\(outcome.errors)")
        let parts = outcome.errors.components(separatedBy: "without its IEND chunk")
        #expect(parts.count == 2, "\(outcome.errors)")
    }

    @Test("Seeds and numbers in the names of files tell images apart")
    func names() throws {
        defer { try? FileManager.default.removeItem(at: examples.folder) }
        let outcome = try examples.run(
            "text-to-image", "--reconstruct", "photo.png", "--fast", "--seed", "41", "--count", "2",
            "--output", "a-{seed}-{number}.png", "--sheet", "sheet.html")
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(try made("a-41-1.png").1["seed"] == "41")
        #expect(try made("a-42-2.png").1["seed"] == "42")
        let page = try String(
            contentsOf: examples.folder.appendingPathComponent("sheet.html"), encoding: .utf8)
        #expect(page.contains("seed 41") && page.contains("seed 42"))
    }

    @Test("What a mask leaves out stays exactly as it is")
    func mask() throws {
        defer { try? FileManager.default.removeItem(at: examples.folder) }
        let white = try Image(
            width: 200, height: 150,
            pixels: (0..<200 * 150).flatMap { index -> [UInt8] in
                [UInt8](repeating: index % 200 < 80 ? 255 : 0, count: 3)
            })
        try white.write(to: examples.folder.appendingPathComponent("mask.png"))
        let outcome = try examples.run(
            "text-to-image", "a red house", "--image", "photo.png", "--mask", "mask.png", "--fast",
            "--stage-b-seed", "5", "--seed", "3")
        #expect(outcome.status == 0, "\(outcome.errors)")
        let (made, text) = try made()
        #expect(made.size == image.size && made != image)
        for y in 0..<150 {
            for x in 80..<200 { #expect(made[x, y] == image[x, y]) }
        }
        #expect(text["mask"]?.contains("seam of 8") == true && text["stage B seed"] == "5")
    }

    @Test(
        "What cannot be is refused with what to do",
        arguments: [
            (["a", "--image", "photo.png", "--strength", "0.5"], "distilled"),
            (["a", "--image", "photo.png", "--vary", "photo.png"], "exclude"),
            (["a", "--image", "photo.png", "--strength", "0"], "changes nothing"),
            (["a", "--image", "photo.png", "--seam", "3"], "transparent"),
            (["a", "--mask", "photo.png"], "for --image"),
            (["a", "--strength", "0.4"], "for --image"),
            (["a", "--image", "missing.png"], "missing.png"),
            (["a", "--image", "photo.png", "--mask", "black.png"], "selects nothing"),
            (["a", "--sampler", "ddpm"], "dpmpp-2m"),
            (["a", "--guidance-interval", "0.8-0.2"], "0.8-0.2"),
        ])
    func refused(_ arguments: [String], _ words: String) throws {
        defer { try? FileManager.default.removeItem(at: examples.folder) }
        try Image(
            width: 200, height: 150, pixels: [UInt8](repeating: 0, count: 3 * 200 * 150)
        ).write(to: examples.folder.appendingPathComponent("black.png"))
        let outcome = try examples.run("text-to-image", arguments + ["--fast"])
        #expect(outcome.status != 0 && outcome.errors.contains(words), "\(outcome.errors)")
        #expect(
            !FileManager.default.fileExists(
                atPath: examples.folder.appendingPathComponent("image.png").path))
    }
}
