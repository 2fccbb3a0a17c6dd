import ArgumentParser
import Foundation

/// Does work in a task that an interrupt (Ctrl-C) or a termination cancels, so that it can save
/// what it has.
public func interruptible(_ work: @escaping @Sendable () throws -> Void) async throws {
    let task = Task.detached { try work() }
    let sources = [SIGINT, SIGTERM].map { number in
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
        StatusLine().note("\nstopped; what was saved is there to go on from")
        throw ExitCode(130)
    }
}
