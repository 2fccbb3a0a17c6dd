import ExampleSupport
import Foundation
import Synchronization
import Wuerstchen

/// Draws the forming image on standard error, above the progress line.
final class Watch: Sendable {
    private let graphics: TerminalGraphics
    private let area: TerminalArea
    private let begin = ContinuousClock.now
    private let budget = Mutex(DrawingBudget())
    private let screen: Screen
    private let signals: Signals

    /// A watch in the terminal.
    ///
    /// - Parameter asked: How images are shown; nil for what the terminal announces.
    /// - Throws: `WuerstchenError` with code `invalidRequest` where there is nothing to draw on.
    init(_ asked: TerminalGraphics?) throws {
        guard isatty(STDERR_FILENO) != 0 else {
            throw WuerstchenError(
                .invalidRequest,
                "standard error is not a terminal, so that there is nothing to watch on")
        }
        let environment = ProcessInfo.processInfo.environment
        guard let announced = asked ?? TerminalGraphics(environment: environment) else {
            throw WuerstchenError(
                .invalidRequest,
                "the terminal (TERM=\(environment["TERM"] ?? "")) shows no images")
        }
        let isOpen =
            asked == nil && announced == .halfBlocks
            && !TerminalGraphics.isMultiplexed(environment)
        let answer = isOpen ? Terminal.answer(to: TerminalGraphics.question) : []
        graphics = TerminalGraphics(answer: answer) ?? announced
        area = Terminal.area()
        let screen = Screen()
        self.screen = screen
        signals = Signals { screen.restore() }
    }

    /// Draws what a step predicts, if it is time to.
    func show(_ step: GenerationStep, _ decoder: PreviewDecoder) throws {
        guard let latent = step.semanticLatent else { return }
        let start = ContinuousClock.now - begin
        guard budget.withLock({ $0.allowsDrawing(at: start) }) else { return }
        // The first of a batch stands for all.
        let first = SemanticLatent(values: latent.values[0..<1], space: latent.space)
        try screen.draw(TerminalImage(decoder.decode(first)[0], as: graphics, in: area))
        let end = ContinuousClock.now - begin
        budget.withLock { $0.note(from: start, to: end) }
    }

    /// Draws an image that is done, which stays.
    func finish(_ image: Image) throws {
        try screen.draw(TerminalImage(image, as: graphics, in: area))
        restore()
    }

    /// Leaves the terminal as it was, and the image where it is.
    func restore() {
        screen.restore()
    }
}

/// What is on the terminal. The cursor is hidden while an image forms.
private final class Screen: Sendable {
    private struct State {
        /// The image that the next one is drawn over.
        var drawn: TerminalImage?
        var isHidden = false
    }

    private let state = Mutex(State())

    func draw(_ image: TerminalImage) {
        state.withLock { state in
            var text = "\r\u{1B}[K"
            if !state.isHidden { text += "\u{1B}[?25l" }
            if let drawn = state.drawn {
                text += drawn.wayBack
                // Another number of lines leaves nothing of the last image.
                if drawn.rows != image.rows { text += "\u{1B}[J" }
            }
            Terminal.write(text + image.text)
            state.drawn = image
            state.isHidden = true
        }
    }

    func restore() {
        state.withLock { state in
            if state.isHidden { Terminal.write("\u{1B}[0m\u{1B}[?25h") }
            state.isHidden = false
            state.drawn = nil
        }
    }
}

/// Restores the terminal when the program is told to end, and then lets it end.
///
/// `@unchecked Sendable`: nobody touches the sources once they are there.
private final class Signals: @unchecked Sendable {
    private let sources: [any DispatchSourceSignal]

    init(_ restore: @escaping @Sendable () -> Void) {
        sources = [SIGINT, SIGTERM, SIGHUP].filter { !isIgnored($0) }.map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number)
            source.setEventHandler {
                restore()
                signal(number, SIG_DFL)
                kill(getpid(), number)
            }
            source.resume()
            return source
        }
    }

    deinit {
        for source in sources { source.cancel() }
    }
}

/// The terminal behind standard error.
private enum Terminal {
    static func write(_ text: String) {
        // A terminal that is gone is no reason to lose the work.
        try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
    }

    /// Most of the screen, with room for a few lines below.
    static func area() -> TerminalArea {
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0
        else { return TerminalArea(columns: 64, rows: 20) }
        let (columns, rows) = (Int(size.ws_col), Int(size.ws_row))
        // A character in the last column would wait there for the next line.
        var area = TerminalArea(
            columns: max(1, min(columns - 1, 64)), rows: max(1, min(rows - 4, 32)))
        if size.ws_xpixel > 0, size.ws_ypixel > 0 {
            area.cell = ImageSize(
                width: max(1, Int(size.ws_xpixel) / columns),
                height: max(1, Int(size.ws_ypixel) / rows))
        }
        return area
    }

    /// What the terminal answers within a fifth of a second.
    static func answer(to question: String) -> [UInt8] {
        let terminal = open("/dev/tty", O_RDWR | O_NOCTTY)
        guard terminal >= 0 else { return [] }
        defer { close(terminal) }
        var before = termios()
        // A process in the background would be stopped.
        guard tcgetpgrp(terminal) == getpgrp(), tcgetattr(terminal, &before) == 0 else { return [] }
        var raw = before
        // An interrupt comes as a byte meanwhile, so that it cannot leave the terminal like this.
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG)
        tcsetattr(terminal, TCSANOW, &raw)
        write(question)
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 256)
        var poller = pollfd(fd: terminal, events: Int16(POLLIN), revents: 0)
        while !TerminalGraphics.isComplete(answer), answer.count < 4096,
            poll(&poller, 1, 200) > 0
        {
            let count = read(terminal, &buffer, buffer.count)
            guard count > 0 else { break }
            answer += buffer[..<count]
        }
        tcsetattr(terminal, TCSANOW, &before)
        if answer.contains(3) { raise(SIGINT) }
        return answer
    }
}
