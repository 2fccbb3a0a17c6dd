import Foundation
import Testing
import Wuerstchen

extension ExamplesTests {
    /// Bytes from words such as `412 MB` or `1.25 GB`.
    private static func bytes(_ words: Substring) -> Double? {
        let parts = words.split(separator: " ")
        guard parts.count == 2, let number = Double(parts[0]) else { return nil }
        return number * (parts[1].hasPrefix("GB") ? 1e9 : 1e6)
    }

    private static let small = [
        "a red house", "--seed", "3", "--stage-c-steps", "1", "--stage-b-steps", "1", "--output",
        "small.png", "--force",
    ]

    @Test("The memory that an image takes is known before it is made")
    func estimatedMemory() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let estimated = try run("text-to-image", Self.small + ["--estimate-memory"])
        #expect(estimated.status == 0, "\(estimated.errors)")
        let line = Substring(estimated.output.trimmingCharacters(in: .whitespacesAndNewlines))
        #expect(try #require(Self.bytes(line)) > 20e6)
        let image = folder.appendingPathComponent("small.png")
        #expect(!FileManager.default.fileExists(atPath: image.path))

        // It hardly depends on what is drawn.
        let withoutPrompt = try run("text-to-image", "--fast", "--estimate-memory")
        #expect(withoutPrompt.status == 0, "\(withoutPrompt.errors)")

        let made = try run("text-to-image", Self.small + ["--memory-limit", "64G"])
        #expect(made.status == 0, "\(made.errors)")
        let words = try #require(
            made.errors.firstMatch(of: /memory: ([^,]+) expected, (.+) taken/))
        let (expected, taken) = try (
            #require(Self.bytes(words.1)), #require(Self.bytes(words.2))
        )
        // Builds for debugging take somewhat more than those that the figures are from.
        #expect(expected > 0.75 * taken && expected < 1.25 * taken, "\(words.0)")
    }

    @Test(
        "A training that the system gives no more memory says so and ends",
        arguments: [600_000, 1_200_000])
    func limitOfTheSystem(_ kilobytes: Int) throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let train = Self.products.appendingPathComponent("train").path
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = [
            "-c",
            "ulimit -v \(kilobytes); exec '\(train)' stage-a run --crop 128 --batch 64 --steps 2",
        ]
        process.currentDirectoryURL = folder
        let errors = Pipe()
        process.standardError = errors
        try process.run()
        let said = String(
            decoding: try errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationReason == .exit && process.terminationStatus == 71, "\(said)")
        #expect(said.contains("out of memory") && said.contains("ulimit -v"), "\(said)")
    }

    @Test("More memory than there may be is refused, and what would fit is named")
    func memoryLimit() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let whole = try run(
            "text-to-image",
            Self.small + [
                "--memory", "resident", "--width", "2048", "--height", "2048", "--count", "2",
                "--estimate-memory",
            ])
        let line = Substring(whole.output.trimmingCharacters(in: .whitespacesAndNewlines))
        let limit = try #require(Self.bytes(line)) * 0.7
        let refused = try run(
            "text-to-image",
            Self.small + [
                "--memory", "resident", "--width", "2048", "--height", "2048", "--count", "2",
                "--memory-limit", "\(Int(limit / 1e6))M",
            ])
        #expect(refused.status != 0)
        #expect(refused.errors.contains("2048x2048") || refused.errors.contains("2048×2048"))
        #expect(refused.errors.contains("would fit"), "\(refused.errors)")
        #expect(refused.errors.contains("--width 1024 --height 1024"), "\(refused.errors)")
        let image = folder.appendingPathComponent("small.png")
        #expect(!FileManager.default.fileExists(atPath: image.path))

        let nothing = try run("text-to-image", Self.small + ["--memory-limit", "1M"])
        #expect(nothing.status != 0 && nothing.errors.contains("nothing smaller fits"))
        for wrong in ["", "2X", "-1G", "G", "0"] {
            let refused = try run("text-to-image", Self.small + ["--memory-limit=\(wrong)"])
            #expect(refused.status != 0 && refused.errors.contains("memory-limit"), "\(wrong)")
        }
    }

    @Test("A checkpoint is converted, and makes the same image")
    func convert() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let checkpoint = try checkpoint()
        let converted = try run("convert", checkpoint, "original", "--layout", "original")
        #expect(converted.status == 0, "\(converted.errors)")
        #expect(
            converted.output.contains("wuerstchen/vqgan") && converted.output.contains("all as"))
        func image(_ place: String, _ precision: String = "float32") throws -> Image {
            let made = try run(
                "text-to-image",
                Self.small + [
                    "--checkpoint", place, "--width", "128", "--height", "128", "--precision",
                    precision,
                ])
            #expect(made.status == 0, "\(made.errors)")
            return try Image.read(contentsOf: folder.appendingPathComponent("small.png")).image
        }
        #expect(try image("original") == image(checkpoint))
        let half = try run("convert", "original", "half", "--type", "bfloat16")
        #expect(half.status == 0 && half.output.contains("rounded"), "\(half.errors)")
        let packed = try run("convert", "original", "packed", "--type", "int8")
        #expect(packed.status == 0 && packed.output.contains("rounded"), "\(packed.errors)")
        #expect(try image("packed", "int8") == image(checkpoint, "int8"))
        let again = try run("convert", checkpoint, "half")
        #expect(again.status != 0 && again.errors.contains("--force"))
        let itself = try run("convert", "half", "half/", "--force")
        #expect(itself.status != 0 && itself.errors.contains("itself"))
    }
}
