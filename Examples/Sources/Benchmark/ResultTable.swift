import Foundation
import Wuerstchen

/// Times pieces of work and prints a row for each as it is done.
struct ResultTable {
    private let asJSON: Bool
    private let runs: Int
    private let blasCore: String
    private let kernels: String
    private let threads: Int
    /// FLOP per second of the fastest plain matrix product of this run.
    var productRate: Double?

    init(asJSON: Bool, runs: Int, blasCore: String, kernels: String, threads: Int) {
        self.asJSON = asJSON
        self.runs = runs
        self.blasCore = blasCore
        self.kernels = kernels
        self.threads = threads
        guard !asJSON else { return }
        print(
            "\(threads) threads, OpenBLAS core \(blasCore), kernels \(kernels), \(runs) runs each")
        print("")
        print(row("", "min s", "median s", "GFLOP/s", "of product", "peak GB"))
    }

    /// Times a piece of work.
    ///
    /// - Returns: FLOP per second of the fastest run.
    @discardableResult
    func measure(_ name: String, flops: Double, _ work: () throws -> Void) throws -> Double {
        resetPeak()
        try work()
        let clock = ContinuousClock()
        let seconds = try (0..<runs).map { _ in
            let time = try clock.measure(work).components
            return Double(time.seconds) + Double(time.attoseconds) * 1e-18
        }.sorted()
        let rate = flops / seconds[0]
        let median = seconds[seconds.count / 2]
        let share = productRate.map { rate / $0 }
        if asJSON {
            let fields: [String: Any] = [
                "name": name, "seconds_min": seconds[0], "seconds_median": median,
                "gflops": rate / 1e9, "fraction_of_sgemm": share ?? NSNull(),
                "peak_rss_bytes": peakMemory, "threads": threads, "blas_core": blasCore,
                "kernels": kernels,
            ]
            let line = try JSONSerialization.data(withJSONObject: fields, options: .sortedKeys)
            print(String(decoding: line, as: UTF8.self))
        } else {
            print(
                row(
                    name, format(seconds[0], 4), format(median, 4), format(rate / 1e9, 1),
                    share.map { format(100 * $0, 0) + " %" } ?? "",
                    format(Double(peakMemory) / 1e9, 2)))
        }
        return rate
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

    private func format(_ value: Double, _ digits: Int) -> String {
        String(format: "%.\(digits)f", value)
    }

    private func row(_ name: String, _ columns: String...) -> String {
        let padded = name + String(repeating: " ", count: max(0, 34 - name.count))
        return padded
            + columns.map { String(repeating: " ", count: max(1, 12 - $0.count)) + $0 }.joined()
    }
}
