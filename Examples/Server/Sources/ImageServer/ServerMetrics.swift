import Foundation
import Synchronization

/// What a server counts, as Prometheus reads it.
final class ServerMetrics: Sendable {
    /// How a request ended.
    enum Outcome: String, CaseIterable {
        /// All of its images were made.
        case completed
        /// Its client left.
        case cancelled
        /// The queue was full, or the server was about to stop.
        case rejected
        /// It could not be met as it was.
        case invalid
        /// Something else went wrong.
        case failed
    }

    private struct Histogram {
        static let bounds = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300]
        var buckets = [Int](repeating: 0, count: Histogram.bounds.count)
        var count = 0
        var sum = 0.0

        mutating func observe(_ value: Double) {
            for (index, bound) in Self.bounds.enumerated() where value <= bound {
                buckets[index] += 1
            }
            count += 1
            sum += value
        }

        func lines(_ name: String) -> [String] {
            zip(Self.bounds, buckets).map { "\(name)_bucket{le=\"\($0)\"} \($1)" } + [
                "\(name)_bucket{le=\"+Inf\"} \(count)", "\(name)_sum \(sum)",
                "\(name)_count \(count)",
            ]
        }
    }

    private struct Values {
        var outcomes: [Outcome: Int] = [:]
        var images = 0
        var waiting = Histogram()
        var working = Histogram()
    }

    private let values = Mutex(Values())

    func count(_ outcome: Outcome) {
        values.withLock { $0.outcomes[outcome, default: 0] += 1 }
    }

    func countImages(_ images: Int) {
        values.withLock { $0.images += images }
    }

    func waited(_ duration: Duration) {
        values.withLock { $0.waiting.observe(duration.seconds) }
    }

    func worked(_ duration: Duration) {
        values.withLock { $0.working.observe(duration.seconds) }
    }

    /// The mean of how long requests were worked on, in seconds; nil before the first.
    var meanSeconds: Double? {
        values.withLock { $0.working.count > 0 ? $0.working.sum / Double($0.working.count) : nil }
    }

    /// Everything in Prometheus' text format.
    func text(_ queue: GenerationQueue) -> String {
        let values = values.withLock { $0 }
        func header(_ name: String, _ type: String, _ help: String) -> [String] {
            ["# HELP \(name) \(help)", "# TYPE \(name) \(type)"]
        }
        var lines = header("wuerstchen_queue_length", "gauge", "Requests that wait.")
        lines.append("wuerstchen_queue_length \(queue.waiting)")
        lines += header("wuerstchen_busy", "gauge", "Whether a request is worked on.")
        lines.append("wuerstchen_busy \(queue.isBusy ? 1 : 0)")
        lines += header("wuerstchen_requests_total", "counter", "Requests by how they ended.")
        for outcome in Outcome.allCases {
            lines.append(
                "wuerstchen_requests_total{outcome=\"\(outcome.rawValue)\"} "
                    + "\(values.outcomes[outcome] ?? 0)")
        }
        lines += header("wuerstchen_images_total", "counter", "Images that were made.")
        lines.append("wuerstchen_images_total \(values.images)")
        lines += header(
            "wuerstchen_wait_seconds", "histogram", "How long requests waited for their turn.")
        lines += values.waiting.lines("wuerstchen_wait_seconds")
        lines += header(
            "wuerstchen_generation_seconds", "histogram", "How long requests were worked on.")
        lines += values.working.lines("wuerstchen_generation_seconds")
        if let bytes = Self.residentBytes {
            lines += header(
                "process_resident_memory_bytes", "gauge", "Memory of the process in bytes.")
            lines.append("process_resident_memory_bytes \(bytes)")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// As Linux gives it; nil elsewhere.
    private static var residentBytes: Int? {
        let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = status?.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return line?.split(separator: " ").compactMap { Int($0) }.first.map { $0 * 1024 }
    }
}

extension Duration {
    var seconds: Double { self / .seconds(1) }
}
