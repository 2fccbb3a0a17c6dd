import Foundation
import Testing
import Wuerstchen
import WuerstchenMiniature

/// Fine-tuning the parts of somebody's own checkpoint: the small cascade with another noise
/// schedule.
@Suite("Fine-tuning parts in examples", .serialized) struct StartTests {
    private let examples: ExamplesTests

    private var folder: URL { examples.folder }

    init() throws {
        examples = try ExamplesTests()
        try FileManager.default.copyItem(
            at: Miniature.folder(), to: folder.appendingPathComponent("own"))
        try setSchedules(offset: 0.01, scaler: 0.5)
        let images = folder.appendingPathComponent("in")
        try FileManager.default.createDirectory(at: images, withIntermediateDirectories: false)
        for number in 0..<2 {
            try Image(
                width: 128, height: 128,
                pixels: (0..<3 * 128 * 128).map { UInt8(truncatingIfNeeded: $0 >> (5 + number)) }
            ).write(to: images.appendingPathComponent("\(number).png"))
            try Data("stripes \(number)".utf8)
                .write(to: images.appendingPathComponent("\(number).txt"))
        }
    }

    private struct Schedule: Codable, Equatable {
        var s, scaler: Double
    }

    private static let scheduler = "scheduler/scheduler_config.json"

    private func setSchedules(offset: Double, scaler: Double) throws {
        let schedule = try JSONEncoder().encode(Schedule(s: offset, scaler: scaler))
        for pipeline in ["wuerstchen-prior", "wuerstchen"] {
            try schedule.write(
                to: folder.appendingPathComponent("own/\(pipeline)/\(Self.scheduler)"))
        }
    }

    private func train(
        _ part: String, _ output: String, _ more: [String]
    ) throws -> ExamplesTests.Outcome {
        try examples.run("train", [part, output] + more)
    }

    private func exists(_ name: String) -> Bool {
        FileManager.default.fileExists(atPath: folder.appendingPathComponent(name).path)
    }

    private static let few = [
        "--images", "in", "--held-out", "0", "--steps", "1", "--batch", "1",
    ]

    @Test(
        "A stage goes on with the noise that it knows, and its export and its state say which",
        arguments: [("stage-c", "wuerstchen-prior"), ("compressor-and-b", "wuerstchen")])
    func schedule(_ part: String, _ pipeline: String) throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let command = ["--start", "own", "--side", "128"] + Self.few
        let trained = try train(part, "out", command)
        #expect(trained.status == 0, "\(trained.errors)")
        let written = try Data(
            contentsOf: folder.appendingPathComponent(
                "out/checkpoint/\(pipeline)/\(Self.scheduler)"))
        #expect(
            try JSONDecoder().decode(Schedule.self, from: written)
                == Schedule(s: 0.01, scaler: 0.5))
        try setSchedules(offset: 0.008, scaler: 1)
        let other = try train(part, "out", command + ["--resume"])
        #expect(other.status == 1, "\(other.errors)")
        for words in ["offset 0.01 (not 0.008)", "scaler 0.5 (not 1)"] {
            #expect(other.errors.contains(words), "\(other.errors)")
        }
    }

    @Test("The small cascade goes on from its weights, and what has not begun stays as it was")
    func miniature() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let start = ["--start", "own"]
        let trained = try examples.run(
            "train",
            ["miniature", "run", "--only", "stage-b", "--length", "0.0001", "--rate-factor", "0.1"]
                + start)
        #expect(trained.status == 0, "\(trained.errors)")
        let exported = try examples.run("train", ["export-miniature", "run", "new"] + start)
        #expect(exported.status == 0, "\(exported.errors)")
        func file(_ checkpoint: String, _ name: String) throws -> Data {
            try Data(contentsOf: folder.appendingPathComponent("\(checkpoint)/\(name)"))
        }
        func weights(_ checkpoint: String, _ network: String) throws -> Data {
            try file(checkpoint, "\(network)/diffusion_pytorch_model.safetensors")
        }
        for network in ["wuerstchen-prior/prior", "wuerstchen/vqgan"] {
            #expect(try weights("own", network) == weights("new", network), "\(network)")
        }
        #expect(try weights("own", "wuerstchen/decoder") != weights("new", "wuerstchen/decoder"))
        let noise = "wuerstchen/\(Self.scheduler)"
        let schedules = try ["own", "new"].map {
            try JSONDecoder().decode(Schedule.self, from: file($0, noise))
        }
        #expect(schedules[0] == schedules[1])
        let drawn = try examples.run(
            "text-to-image", ["a red house", "--checkpoint", "new", "--output", "new.png"])
        #expect(drawn.status == 0, "\(drawn.errors)")
    }

    @Test("Drawn scenes are learnt if they are asked for")
    func scenes() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let command = [
            "--start", "own", "--scenes", "--crop", "16", "--steps", "1", "--batch", "2",
        ]
        let both = try train("stage-a", "out", command + ["--images", "in"])
        #expect(both.status == 64 && both.errors.contains("exclude each other"), "\(both.errors)")
        let trained = try train("stage-a", "out", command)
        #expect(trained.status == 0, "\(trained.errors)")
    }

    @Test("What is to be kept in mind of a checkpoint is named, or it is asked for")
    func kept() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.removeItem(at: folder.appendingPathComponent("own/captions.txt"))
        let keep = Self.few + ["--keep", "0.5"]
        for (part, option) in [
            ("stage-a", "--start"), ("compressor-and-b", "--start"), ("stage-c", "--start"),
            ("preview", "--start"), ("lora", "--checkpoint"),
        ] {
            let made = try train(part, "out", [option, "own"] + keep)
            #expect(made.status != 0)
            for words in ["own has", "captions.txt", "--keep-captions", "--keep-images"] {
                #expect(made.errors.contains(words), "\(part): \(made.errors)")
            }
            #expect(!exists("out"), "\(part)")
        }
        let nothing = try train("stage-a", "out", keep)
        #expect(nothing.status == 64 && nothing.errors.contains("--start"), "\(nothing.errors)")
        #expect(!exists("out"))
        for (output, start) in [("out", ["--start", "own"]), ("mixed", [])] {
            let named = try train(
                "stage-a", output, start + keep + ["--crop", "16", "--keep-images", "in"])
            #expect(named.status == 0, "\(named.errors)")
        }
    }
}
