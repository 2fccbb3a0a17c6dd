import ArgumentParser
import Foundation

/// Does work in a task that an interrupt (Ctrl-C), a termination or the end of its terminal
/// cancels, so that it can save what it has.
///
/// - Parameters:
///   - sharing: How several processes can do the work.
///   - work: The work.
/// - Throws: `ExitCode` after a cancellation, or what the work throws.
public func interruptible(
    by sharing: WorkSharing = .nobodyElse, _ work: @escaping @Sendable () throws -> Void
) async throws {
    let task = Task.detached { try together(sharing, work) }
    let sources = [SIGINT, SIGTERM, SIGHUP].filter { !isIgnored($0) }.map { number in
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number)
        source.setEventHandler { task.cancel() }
        source.resume()
        return source
    }
    defer { withExtendedLifetime(sources) {} }
    do {
        try await task.value
    } catch is CancellationError {
        // The terminal may be gone.
        StatusLine().note("\nstopped; what was saved is there to go on from")
        throw ExitCode(130)
    }
}

/// Whether a signal was ignored when the program began, as `nohup` has it: it stays so.
public func isIgnored(_ number: Int32) -> Bool {
    var action = sigaction()
    guard sigaction(number, nil, &action) == 0 else { return false }
    #if canImport(Darwin)
    let handler = action.__sigaction_u.__sa_handler
    #else
    let handler = action.__sigaction_handler.sa_handler
    #endif
    return unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
}
