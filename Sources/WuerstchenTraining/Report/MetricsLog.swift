public import Foundation
import TensorCore

/// The losses and metrics of a training in a file: a line of JSON for each report.
///
/// A line is written at once, after those written so far, and a training that was killed loses at
/// most its last one. One that goes on at an earlier step first drops the lines of the steps it is
/// about to make again.
public struct MetricsLog: Sendable {
    /// A line of the log.
    public struct Entry: Sendable, Hashable, Codable {
        /// How many steps had been made.
        public var step: Int
        /// The loss; in the file "nan", "inf" or "-inf" where it is not finite.
        public var loss: Double
        /// What else was measured.
        public var metrics: [String: Double]
        /// How many images were learnt from in a second.
        public var imagesPerSecond: Double?

        /// An entry of the log.
        public init(
            step: Int, loss: Double, metrics: [String: Double] = [:],
            imagesPerSecond: Double? = nil
        ) {
            self.step = step
            self.loss = loss
            self.metrics = metrics
            self.imagesPerSecond = imagesPerSecond
        }

        /// The entry that a report makes.
        public init(_ report: TrainingReport) {
            self.init(
                step: report.step, loss: report.loss,
                metrics: Dictionary(
                    report.metrics.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 }),
                imagesPerSecond: report.imagesPerSecond)
        }
    }

    /// The file.
    public let url: URL

    /// Opens a log, or starts one.
    ///
    /// - Parameters:
    ///   - url: The file, in a folder that exists.
    ///   - step: How many steps have been made. Lines about later ones are dropped from the file,
    ///     all of them for a training that starts anew.
    /// - Throws: `WuerstchenError` when the file cannot be read or written, or holds anything but
    ///   such lines.
    public init(_ url: URL, resumingAfter step: Int = 0) throws {
        self.url = url
        let kept = FileManager.default.fileExists(atPath: url.path) ? try entries() : []
        let lines = try kept.filter { $0.step <= step && step > 0 }.map(Self.line)
        try AtomicFile.replace(url, with: Data(lines.joined()))
    }

    /// Adds a report.
    ///
    /// - Throws: `WuerstchenError` with code `unwritableFile`.
    public func append(_ report: TrainingReport) throws {
        try append(Entry(report))
    }

    /// Adds an entry.
    ///
    /// - Throws: `WuerstchenError` with code `unwritableFile`.
    public func append(_ entry: Entry) throws {
        let line = try Self.line(entry)
        do {
            let handle = try FileHandle(forWritingTo: url)
            defer { try? handle.close() }
            try handle.seekToEnd()
            try handle.write(contentsOf: line)
        } catch {
            throw unwritable(error)
        }
    }

    /// All entries, in the order of the file. An unfinished last line is left out.
    ///
    /// - Throws: `WuerstchenError` when the file cannot be read or a line is not an entry.
    public func entries() throws -> [Entry] {
        let data = try contents(of: url)
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        var lines = data.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        // After the last line break: nothing, or what a killed training did not finish.
        lines.removeLast()
        return try lines.enumerated().map { number, line in
            do {
                return try decoder.decode(Entry.self, from: line)
            } catch {
                throw WuerstchenError(
                    .malformedFile,
                    "line \(number + 1) of \(url.path) is not an entry of a training's log; "
                        + "correct it, or move the file away", underlying: error)
            }
        }
    }

    private static func line(_ entry: Entry) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return try encoder.encode(entry) + [UInt8(ascii: "\n")]
    }

    private func unwritable(_ error: any Error) -> WuerstchenError {
        WuerstchenError(
            .unwritableFile,
            "\(url.path) cannot be written; check that its folder exists and may be written to and "
                + "that the disk has room", underlying: error)
    }
}
