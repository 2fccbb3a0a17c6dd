import Foundation
import Testing
import Wuerstchen

/// Teaching a checkpoint from a folder, and using what was learnt.
@Suite("LoRA in examples", .serialized) struct LoRATests {
    private let examples: ExamplesTests

    init() throws { examples = try ExamplesTests() }

    private var folder: URL { examples.folder }

    private func exists(_ name: String) -> Bool {
        FileManager.default.fileExists(atPath: folder.appendingPathComponent(name).path)
    }

    @Test("A folder of images becomes a LoRA, which images are made with")
    func trainAndUse() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let images = folder.appendingPathComponent("in")
        try FileManager.default.createDirectory(at: images, withIntermediateDirectories: true)
        for number in 1...2 {
            try Image(
                width: 128, height: 128,
                pixels: (0..<3 * 128 * 128).map { UInt8(truncatingIfNeeded: $0 >> (5 + number)) }
            ).write(to: images.appendingPathComponent("\(number).png"))
            try Data("a windmill".utf8).write(to: images.appendingPathComponent("\(number).txt"))
        }
        let command = [
            "lora", "out", "--images", "in", "--side", "128", "--steps", "2", "--batch", "1",
            "--held-out", "0", "--rank", "2", "--layers", "attention", "--stage", "both",
            "--learn-text", "--keep", "0.5",
        ]
        let trained = try examples.run("train", command)
        #expect(trained.status == 0, "\(trained.errors)")
        #expect(exists("out/stage-c/report.html") && exists("out/stage-b/report.html"))
        let again = try examples.run("train", command)
        #expect(again.status != 0 && again.errors.contains("resume"), "\(again.errors)")
        let other = try examples.run("train", command + ["--resume", "--alpha", "3"])
        #expect(other.status != 0 && other.errors.contains("alpha"), "\(other.errors)")
        let resumed = try examples.run("train", command + ["--resume"])
        #expect(resumed.status == 0, "\(resumed.errors)")

        func make(_ loras: String...) throws -> ExamplesTests.Outcome {
            try examples.run(
                "text-to-image",
                ["a windmill", "--width", "128", "--height", "128", "--stage-c-steps", "1"]
                    + ["--stage-b-steps", "1", "--seed", "1", "--force"]
                    + loras.flatMap { ["--lora", $0] })
        }
        let made = try make("out/lora.safetensors:0.5", "out/lora.safetensors")
        #expect(made.status == 0, "\(made.errors)")
        let record = try Image.read(contentsOf: folder.appendingPathComponent("image.png")).text
        #expect(
            record["checkpoint"]?.hasSuffix(
                "with lora.safetensors:0.5 with lora.safetensors") == true)
        for (argument, words) in [("none.safetensors:2", "none.safetensors is not there")] {
            let refused = try make(argument)
            #expect(refused.status != 0 && refused.errors.contains(words), "\(refused.errors)")
        }
    }

    @Test(
        "Mistakes are told before anything is read",
        arguments: [
            (["lora", "out"], "--images"),
            (
                ["lora", "out", "--images", "in", "--stage", "stage-b", "--learn-text"],
                "--learn-text"
            ),
        ])
    func mistakes(_ arguments: [String], _ words: String) throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let made = try examples.run("train", arguments)
        #expect(made.status == 64 && made.errors.contains(words), "\(made.errors)")
    }
}
