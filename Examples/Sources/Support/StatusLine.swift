import Foundation

/// What a command says on standard error: a line that changes in place on a terminal, and lines
/// that stay.
public struct StatusLine: Sendable {
    /// Whether a line can be changed after it was written.
    public let isTerminal = isatty(STDERR_FILENO) != 0

    /// Standard error.
    public init() {}

    /// Replaces the changing line; says nothing where it would not change.
    public func show(_ text: String) {
        if isTerminal { write("\r\u{1B}[K\(text)") }
    }

    /// Writes a line that stays, in place of the changing one.
    public func note(_ text: String) {
        show("")
        write(text + "\n")
    }

    private func write(_ text: String) {
        // A closed or full standard error is no reason to lose the work.
        try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
    }
}
