import Foundation
import Wuerstchen

/// Times pieces of work and prints a row for each as it is done.
struct ResultTable {
    private let asJSON: Bool
    private let runs: Int
    private let blas: BLAS
    private let commit: String?
    /// FLOP per second of OpenBLAS's fastest product in this run.
    var productRate: Double?

    init(asJSON: Bool, runs: Int, blas: BLAS) {
        self.asJSON = asJSON
        self.runs = runs
        self.blas = blas
        commit = ResultTable.currentCommit()
        guard !asJSON else { return }
        emit(
            "\(Threads.count) threads, OpenBLAS core \(blas.coreName), kernels "
                + "\(KernelLevel.active.rawValue), \(runs) runs each, "
                + "commit \(commit ?? "unknown")")
        emit(Precision.allCases.map(\.multiplier).joined(separator: ", "))
        if let advice = blas.advice { emit(advice) }
        emit("")
        emit(row("", "precision", "min s", "median s", "GFLOP/s", "of sgemm", "peak GB"))
    }

    /// Times a piece of work whose arithmetic is known.
    ///
    /// - Returns: FLOP per second of the fastest run.
    @discardableResult
    mutating func measure(
        _ name: String, _ precision: Precision = .float32, flops: Double,
        _ work: () throws -> Void
    ) throws -> Double {
        let seconds = try time(runs, warmsUp: true, work)
        let rate = flops / seconds[0]
        write(name, precision, seconds, rate: rate)
        return rate
    }

    /// Times a piece of work of which only the time is of interest, if not the pixels it makes.
    ///
    /// - Returns: The seconds of the fastest run.
    @discardableResult
    mutating func measureTime(
        _ name: String, _ precision: Precision, perPixel pixels: Double? = nil,
        _ work: () throws -> Void
    ) throws -> Double {
        let seconds = try time(runs, warmsUp: true, work)
        write(
            name, precision, seconds,
            note: pixels.map { "\(format(seconds[0] / $0 * 1e6, 2)) µs a pixel" })
        return seconds[0]
    }

    /// Times long work, once and without a run before it.
    mutating func measureOnce(
        _ name: String, _ precision: Precision, _ work: () throws -> Void
    ) throws {
        write(name, precision, try time(1, warmsUp: false, work))
    }

    /// Prints what follows from rows above.
    func note(_ text: String) {
        if asJSON { write(["note": text]) } else { emit("    \(text)") }
    }

    /// Prints a quality instead of a time.
    func report(_ name: String, _ precision: Precision, _ unit: String, _ decibels: Double) {
        if asJSON {
            write(["name": name, "precision": precision.rawValue, unit: decibels])
        } else {
            emit(row(name, precision.rawValue, format(decibels, 1) + " dB", unit))
        }
    }

    private func time(_ runs: Int, warmsUp: Bool, _ work: () throws -> Void) throws -> [Double] {
        resetPeak()
        if warmsUp { try work() }
        let clock = ContinuousClock()
        return try (0..<runs).map { _ in
            let time = try clock.measure(work).components
            return Double(time.seconds) + Double(time.attoseconds) * 1e-18
        }.sorted()
    }

    private func write(
        _ name: String, _ precision: Precision, _ seconds: [Double], rate: Double? = nil,
        note: String? = nil
    ) {
        let median = seconds[seconds.count / 2]
        let share = rate.flatMap { rate in productRate.map { rate / $0 } }
        guard !asJSON else {
            var fields: [String: Any] = [
                "name": name, "precision": precision.rawValue, "seconds_min": seconds[0],
                "seconds_median": median, "peak_rss_bytes": peakMemory, "threads": Threads.count,
                "blas_core": blas.coreName, "kernels": KernelLevel.active.rawValue,
                "multiplier": precision.multiplier,
                "is_accelerated": precision.isAccelerated,
            ]
            fields["gflops"] = rate.map { $0 / 1e9 }
            fields["fraction_of_sgemm"] = share
            fields["commit"] = commit
            return write(fields)
        }
        let text = row(
            name, precision.rawValue, format(seconds[0], 4), format(median, 4),
            rate.map { format($0 / 1e9, 0) } ?? "", share.map { format(100 * $0, 0) + " %" } ?? "",
            format(Double(peakMemory) / 1e9, 2))
        emit(note.map { "\(text)   \($0)" } ?? text)
    }

    private func write(_ fields: [String: Any]) {
        guard
            let line = try? JSONSerialization.data(withJSONObject: fields, options: .sortedKeys)
        else { return }
        emit(String(decoding: line, as: UTF8.self))
    }

    /// Writes a line at once, into a file or a pipe too.
    private func emit(_ line: String) {
        try? FileHandle.standardOutput.write(contentsOf: Data("\(line)\n".utf8))
    }

    /// Makes the system count the most memory from now on (Linux; elsewhere from the start).
    private func resetPeak() {
        TensorMemory.releaseIdle()
        guard let file = FileHandle(forWritingAtPath: "/proc/self/clear_refs") else { return }
        file.write(Data("5".utf8))
    }

    /// The most memory that the process has had since ``resetPeak()``, in bytes.
    private var peakMemory: Int {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return (line?.split(separator: " ").compactMap { Int($0) }.first ?? 0) * 1024
    }

    /// The commit of the sources, where they are in a repository.
    private static func currentCommit() -> String? {
        let git = Process()
        git.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path
        git.arguments = ["git", "-C", folder, "describe", "--always", "--dirty", "--abbrev=12"]
        let output = Pipe()
        git.standardOutput = output
        git.standardError = FileHandle.nullDevice
        guard (try? git.run()) != nil else { return nil }
        let data = output.fileHandleForReading.readDataToEndOfFile()
        git.waitUntilExit()
        guard git.terminationStatus == 0 else { return nil }
        return String(decoding: data, as: UTF8.self).split(separator: "\n").first.map(String.init)
    }

    private func format(_ value: Double, _ digits: Int) -> String {
        String(format: "%.\(digits)f", value)
    }

    private func row(_ name: String, _ columns: String...) -> String {
        let padded = name + String(repeating: " ", count: max(0, 38 - name.count))
        return padded
            + columns.map { String(repeating: " ", count: max(1, 10 - $0.count)) + $0 }.joined()
    }
}
