import Foundation
import Synchronization
import Testing
import Wuerstchen

/// What `--watch` writes to a terminal.
@Suite("Watching", .serialized) struct WatchTests {
    private let examples: ExamplesTests

    init() throws {
        examples = try ExamplesTests()
    }

    /// Runs `text-to-image` with a pseudo-terminal for standard error, and calls a closure with
    /// what was written so far whenever there is more.
    private func run(
        _ arguments: [String], _ closure: (String, Process) -> Void = { _, _ in }
    ) throws -> (status: Int32, reason: Process.TerminationReason, text: String) {
        let (master, slave) = try pseudoTerminal()
        defer { close(master) }
        let process = Process()
        process.executableURL = ExamplesTests.products.appendingPathComponent("text-to-image")
        process.arguments = arguments
        process.currentDirectoryURL = examples.folder
        // Half blocks, whatever terminal the tests run in, and no question to that.
        process.environment = ProcessInfo.processInfo.environment.merging([
            "TERM": "xterm-256color", "TMUX": "none",
        ]) { $1 }
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle(fileDescriptor: slave)
        try process.run()
        close(slave)
        var (bytes, buffer) = ([UInt8](), [UInt8](repeating: 0, count: 1 << 16))
        // The end is an error on Linux, once nobody has the other side open.
        while case let count = read(master, &buffer, buffer.count), count > 0 {
            bytes += buffer[..<count]
            closure(String(decoding: bytes, as: UTF8.self), process)
        }
        process.waitUntilExit()
        return (
            process.terminationStatus, process.terminationReason,
            String(decoding: bytes, as: UTF8.self)
        )
    }

    /// The two sides of a new pseudo-terminal.
    private func pseudoTerminal() throws -> (master: Int32, slave: Int32) {
        var (master, slave): (Int32, Int32) = (-1, -1)
        #if canImport(Darwin)
        try #require(openpty(&master, &slave, nil, nil, nil) == 0)
        #else
        master = open("/dev/ptmx", O_RDWR | O_NOCTTY)
        // TIOCSPTLCK and TIOCGPTN of asm-generic/ioctls.h, which Swift does not import.
        var (lock, number): (Int32, Int32) = (0, 0)
        try #require(ioctl(master, 0x4004_5431, &lock) == 0)
        try #require(ioctl(master, 0x8004_5430, &number) == 0)
        slave = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY)
        try #require(slave >= 0)
        #endif
        return (master, slave)
    }

    private static let (hide, show) = ("\u{1B}[?25l", "\u{1B}[?25h")

    @Test("The forming image is drawn over itself, stays at the end, and the cursor is back")
    func drawing() throws {
        defer { try? FileManager.default.removeItem(at: examples.folder) }
        let made = try run(["a red house", "--fast", "--watch", "--seed", "3"])
        #expect(made.status == 0, "\(made.text)")
        // The preview of the only step, and the image in its place.
        #expect(made.text.components(separatedBy: Self.hide).count == 2)
        #expect(made.text.contains("▀") && made.text.contains("A\r"))
        let end = try #require(made.text.components(separatedBy: Self.show).last)
        #expect(end.contains("image.png") && !end.contains("▀") && !end.contains(Self.hide))
        let watched = try Image(contentsOf: examples.folder.appendingPathComponent("image.png"))
        let alone = try examples.run("text-to-image", "a red house", "--fast", "--seed", "3")
        #expect(alone.status == 0, "\(alone.errors)")
        #expect(
            try Image(contentsOf: examples.folder.appendingPathComponent("image.png")) == watched)
    }

    @Test("An interrupt leaves the terminal as it was")
    func interrupt() throws {
        defer { try? FileManager.default.removeItem(at: examples.folder) }
        let isKilled = Mutex(false)
        let made = try run(["a house", "--watch", "--stage-c-steps", "2000"]) { text, process in
            isKilled.withLock { isKilled in
                guard !isKilled, text.contains(Self.hide) else { return }
                isKilled = true
                kill(process.processIdentifier, SIGINT)
            }
        }
        #expect(isKilled.withLock { $0 })
        #expect(made.reason == .uncaughtSignal && made.status == SIGINT)
        let end = try #require(made.text.components(separatedBy: Self.show).last)
        #expect(made.text.contains(Self.show) && !end.contains("▀") && !end.contains(Self.hide))
        #expect(
            !FileManager.default.fileExists(
                atPath: examples.folder.appendingPathComponent("image.png").path))
    }

    @Test("Where standard error is no terminal that is said, and nothing is drawn")
    func noTerminal() throws {
        defer { try? FileManager.default.removeItem(at: examples.folder) }
        let made = try examples.run("text-to-image", "a house", "--fast", "--watch")
        #expect(made.status == 0 && made.errors.contains("not a terminal"), "\(made.errors)")
        #expect(!made.errors.contains("\u{1B}") && !made.errors.contains("▀"))
    }
}
