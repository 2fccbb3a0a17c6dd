import Foundation
import Testing
import Wuerstchen
import WuerstchenTraining
import _WuerstchenTestSupport

@Suite struct MetricsLogTests {
    private func report(_ step: Int) -> TrainingReport {
        TrainingReport(
            step: step, total: 100, loss: 1 / Double(step),
            metrics: [.init("psnr", Double(20 + step))], imagesPerSecond: 2.5)
    }

    private func withLog(_ steps: ClosedRange<Int>, _ body: (URL) throws -> Void) throws {
        try withFolder { folder in
            let url = folder.appendingPathComponent("metrics.jsonl")
            let log = try MetricsLog(url)
            for step in steps { try log.append(report(step)) }
            try body(url)
        }
    }

    @Test func entriesComeBack() throws {
        try withLog(1...3) { url in
            let log = try MetricsLog(url, resumingAfter: 3)
            try log.append(
                TrainingReport(
                    step: 4, total: 100, loss: .nan,
                    metrics: [.init("a/b \"c\"\n", .infinity), .init("d", -.infinity)]))
            let entries = try log.entries()
            #expect(entries.map(\.step) == [1, 2, 3, 4])
            #expect(
                entries[2]
                    == MetricsLog.Entry(
                        step: 3, loss: 1.0 / 3, metrics: ["psnr": 23], imagesPerSecond: 2.5))
            #expect(entries[3].loss.isNaN)
            #expect(entries[3].metrics == ["a/b \"c\"\n": .infinity, "d": -.infinity])
            #expect(entries[3].imagesPerSecond == nil)
            let lines = try String(contentsOf: url, encoding: .utf8).split(separator: "\n")
            #expect(lines.count == 4, "an entry is one line")
            #expect(
                lines[1]
                    == #"{"imagesPerSecond":2.5,"loss":0.5,"metrics":{"psnr":22},"step":2}"#)
        }
    }

    @Test func resumingDropsTheStepsToBeMadeAgain() throws {
        try withLog(1...10) { url in
            let log = try MetricsLog(url, resumingAfter: 6)
            #expect(try log.entries().map(\.step) == Array(1...6))
            for step in 7...12 { try log.append(report(step)) }
            #expect(try log.entries().map(\.step) == Array(1...12))
            #expect(try MetricsLog(url, resumingAfter: 50).entries().count == 12)
            #expect(try MetricsLog(url).entries() == [], "a new training starts a new log")
        }
    }

    @Test func anUnfinishedLineIsDropped() throws {
        try withLog(1...3) { url in
            let handle = try FileHandle(forWritingTo: url)
            try handle.seekToEnd()
            try handle.write(contentsOf: Data(#"{"loss":0.2"#.utf8))
            try handle.close()
            let log = try MetricsLog(url, resumingAfter: 4)
            try log.append(report(4))
            #expect(try log.entries().map(\.step) == [1, 2, 3, 4])
        }
    }

    @Test func otherFilesAreRefusedAndKept() throws {
        try withLog(1...2) { url in
            let text = try String(contentsOf: url, encoding: .utf8) + "not an entry\n"
            try Data(text.utf8).write(to: url)
            for step in [0, 2] {
                expectError(.malformedFile, "line 3 of \(url.path)") {
                    _ = try MetricsLog(url, resumingAfter: step)
                }
            }
            #expect(try String(contentsOf: url, encoding: .utf8) == text)
        }
    }

    @Test func aLogThatCannotBeWrittenSaysSo() throws {
        try withFolder { folder in
            let url = folder.appendingPathComponent("absent/metrics.jsonl")
            expectError(.unwritableFile, url.path) { _ = try MetricsLog(url) }
            let other = folder.appendingPathComponent("metrics.jsonl")
            let log = try MetricsLog(other)
            try FileManager.default.removeItem(at: other)
            expectError(.unwritableFile, other.path) { try log.append(report(1)) }
            expectError(.unreadableFile, other.path) { _ = try log.entries() }
        }
    }
}
