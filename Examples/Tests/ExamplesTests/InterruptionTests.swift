import Foundation
import Testing
import Wuerstchen
import WuerstchenTraining

/// Trainings that are stopped, killed, or started twice.
extension ExamplesTests {
    /// Starts a training that lasts until it is stopped.
    private func startTraining(_ output: String) throws -> Process {
        let process = Process()
        process.executableURL = Self.products.appendingPathComponent("train")
        process.arguments = training(output)
        process.currentDirectoryURL = folder
        process.standardError = FileHandle.nullDevice
        // That of an earlier training says nothing of this one.
        let log = folder.appendingPathComponent("\(output)/log.jsonl")
        try? FileManager.default.removeItem(at: log)
        try process.run()
        let deadline = ContinuousClock.now + .seconds(60)
        while ((try? Data(contentsOf: log)) ?? Data()).isEmpty, ContinuousClock.now < deadline {
            Thread.sleep(forTimeInterval: 0.05)
        }
        #expect(process.isRunning)
        return process
    }

    private func training(_ output: String) -> [String] {
        [
            "stage-a", output, "--configuration", folder.appendingPathComponent("tiny.json").path,
            "--crop", "16", "--steps", "1000000", "--batch", "2",
        ]
    }

    private func writeConfiguration() throws {
        try Data(#"{"embed_dim": 8, "bottleneck_blocks": 1, "num_vq_embeddings": 4}"#.utf8)
            .write(to: folder.appendingPathComponent("tiny.json"))
    }

    @Test(
        "A training saves what it has when it is stopped, in whatever way",
        arguments: [SIGINT, SIGTERM, SIGHUP])
    func stopping(_ signal: Int32) throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try writeConfiguration()
        let process = try startTraining("run")
        kill(process.processIdentifier, signal)
        process.waitUntilExit()
        #expect(process.terminationStatus == 130 && process.terminationReason == .exit)
        let state = folder.appendingPathComponent("run/state.safetensors")
        #expect(try TrainingState(contentsOf: state).step > 0)
    }

    @Test("A training stops at once while it reads images")
    func stoppingWhileReading() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try writeConfiguration()
        let images = folder.appendingPathComponent("in")
        try FileManager.default.createDirectory(at: images, withIntermediateDirectories: true)
        let side = 2500
        let noise = [UInt8]((0..<3 * side * side).map { UInt8(truncatingIfNeeded: $0 * $0 / 7) })
        try Image(width: side, height: side, pixels: noise)
            .write(to: images.appendingPathComponent("0.png"))
        let process = Process()
        process.executableURL = Self.products.appendingPathComponent("train")
        // A step reads the file hundreds of times.
        process.arguments =
            training("run") + ["--images", images.path, "--held-out", "0", "--batch", "512"]
        process.currentDirectoryURL = folder
        let errors = folder.appendingPathComponent("said.txt")
        try Data().write(to: errors)
        process.standardError = try FileHandle(forWritingTo: errors)
        try process.run()
        let deadline = ContinuousClock.now + .seconds(60)
        func said() throws -> String {
            String(decoding: try Data(contentsOf: errors), as: UTF8.self)
        }
        while try !said().contains("training stage-a"), ContinuousClock.now < deadline {
            Thread.sleep(forTimeInterval: 0.05)
        }
        Thread.sleep(forTimeInterval: 0.5)
        let begin = ContinuousClock.now
        kill(process.processIdentifier, SIGTERM)
        process.waitUntilExit()
        #expect(ContinuousClock.now - begin < .seconds(10))
        #expect(process.terminationStatus == 130 && process.terminationReason == .exit)
        let log = try? String(
            contentsOf: folder.appendingPathComponent("run/log.jsonl"), encoding: .utf8)
        #expect(log?.contains("\"loss\"") != true, "it was still reading for its first step")
        let words = try said()
        #expect(!words.contains("skipped"), "\(words)")
    }

    @Test("A second training in a folder is refused while the first runs, and not after its death")
    func twoTrainings() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try writeConfiguration()
        let first = try startTraining("run")
        let second = try run("train", training("run"))
        #expect(second.status != 0)
        #expect(second.errors.contains("process \(first.processIdentifier)"), "\(second.errors)")
        let left = folder.appendingPathComponent("run/.\(UUID().uuidString).partial")
        try Data("half a state".utf8).write(to: left)
        kill(first.processIdentifier, SIGKILL)
        first.waitUntilExit()
        let next = try startTraining("run")
        #expect(!FileManager.default.fileExists(atPath: left.path))
        kill(next.processIdentifier, SIGTERM)
        next.waitUntilExit()
        #expect(next.terminationStatus == 130)
    }

    @Test("A training writes over no checkpoint and no report that no training made")
    func foreignFiles() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try writeConfiguration()
        let weights = folder.appendingPathComponent("run/checkpoint/wuerstchen/vqgan/weights.bin")
        try FileManager.default.createDirectory(
            at: weights.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data("real".utf8).write(to: weights)
        for arguments in [training("run"), ["compressor-and-b", "run", "--steps", "1"]] {
            let refused = try run("train", arguments)
            #expect(refused.status != 0)
            #expect(refused.errors.contains("run/checkpoint"), "\(refused.errors)")
        }
    }
}
