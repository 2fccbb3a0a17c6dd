import Foundation

/// Shows how far a training is: one line that changes in place on a terminal, and a plain line now
/// and then elsewhere, so that a log stays readable.
public struct TrainingProgress: Sendable {
    private let isTerminal: Bool
    private let interval: Duration
    private let columns: @Sendable () -> Int
    private let write: @Sendable (String) -> Void
    private var lastShown: ContinuousClock.Instant?
    private var isLineOpen = false

    /// Progress shown on standard error.
    public init() {
        self.init(
            isTerminal: isatty(STDERR_FILENO) != 0, columns: Self.terminalColumns
        ) { text in
            // A closed or full standard error is no reason to lose a training.
            try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
        }
    }

    /// Progress shown anywhere.
    ///
    /// - Parameters:
    ///   - isTerminal: Whether a line can be changed after it was written.
    ///   - interval: How long there is silence at least between two lines; nil for 10 s, and a
    ///     tenth of a second on a terminal. The last step is always shown.
    ///   - columns: How many characters fit a line of the terminal.
    ///   - write: Writes text, which brings its own line breaks.
    public init(
        isTerminal: Bool, interval: Duration? = nil,
        columns: @escaping @Sendable () -> Int = { 80 },
        write: @escaping @Sendable (String) -> Void
    ) {
        self.isTerminal = isTerminal
        self.interval = interval ?? (isTerminal ? .milliseconds(100) : .seconds(10))
        self.columns = columns
        self.write = write
    }

    /// Shows a report, unless one was shown just before.
    ///
    /// - Parameters:
    ///   - report: The report.
    ///   - now: When it was made.
    public mutating func show(_ report: TrainingReport, at now: ContinuousClock.Instant = .now) {
        let isLast = report.step >= report.total
        if !isLast, let lastShown, now - lastShown < interval { return }
        lastShown = now
        if isTerminal {
            // A longer line would wrap, and then not be replaced as a whole.
            let line = report.line(withBar: true).prefix(max(1, columns() - 1))
            write("\r\u{1B}[K\(line)\(isLast ? "\n" : "")")
            isLineOpen = !isLast
        } else {
            write(report.line(withBar: false) + "\n")
        }
    }

    /// Writes a line that stays, such as a validation's outcome or a skipped file.
    public mutating func note(_ text: String) {
        write((isLineOpen ? "\r\u{1B}[K" : "") + text + "\n")
        isLineOpen = false
    }

    /// Leaves the changing line as it is and goes to the next; for the end of a training that was
    /// interrupted.
    public mutating func finish() {
        if isLineOpen { write("\n") }
        isLineOpen = false
    }

    private static func terminalColumns() -> Int {
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else {
            return 80
        }
        return Int(size.ws_col)
    }
}

extension TrainingReport {
    /// The report on one line.
    func line(withBar: Bool) -> String {
        let part = total > 0 ? min(max(Double(step) / Double(total), 0), 1) : 1
        var parts = ["\(step)/\(total)", "loss \(loss.short)"]
        if withBar {
            let filled = Int(16 * part)
            parts[0] =
                String(repeating: "█", count: filled) + String(repeating: "·", count: 16 - filled)
                + " " + parts[0]
        } else {
            parts[0] = "step " + parts[0]
        }
        // The end of a line may be cut off: what matters most comes first.
        if let timeLeft, step < total { parts.append("\(timeLeft.readable) left") }
        parts += metrics.map { "\($0.name) \($0.value.short)" }
        if let imagesPerSecond { parts.append("\(imagesPerSecond.short) images/s") }
        return parts.joined(separator: withBar ? "  " : ", ")
    }
}

extension Double {
    fileprivate var short: String { String(format: "%.4g", self) }
}

extension Duration {
    /// The duration for a person to read.
    var readable: String {
        let seconds = Int(components.seconds)
        if seconds < 60 { return "\(seconds) s" }
        if seconds < 3600 { return "\(seconds / 60) min \(seconds % 60) s" }
        if seconds < 86400 { return "\(seconds / 3600) h \(seconds / 60 % 60) min" }
        return "\(seconds / 86400) d \(seconds / 3600 % 24) h"
    }
}
