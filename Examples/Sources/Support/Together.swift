private import ArgumentParser
private import Foundation
private import Wuerstchen
internal import WuerstchenTraining

#if MPI
private import WuerstchenMPI
#endif

/// How several processes that a launcher started can do work.
public enum WorkSharing: Sendable {
    /// Not at all: they are an error.
    case nobodyElse
    /// Each its share, as it finds it by itself.
    case separately
    /// Step by step together, over MPI.
    case together
}

/// Does work that several processes share where a launcher started several, as one of them.
///
/// The first speaks for all: the others are silent, but for what goes wrong in one of them alone.
///
/// - Parameters:
///   - sharing: How they can do it.
///   - work: The work.
/// - Throws: What the work throws.
func together(_ sharing: WorkSharing, _ work: () throws -> Void) throws {
    let launched = try ProcessRank()
    guard launched.count > 1, sharing != .separately else { return try work() }
    guard sharing == .together else {
        throw ValidationError(
            "this is \(launched), and the work is one process's; start it without mpirun, or leave "
                + "out the variables that say so")
    }
    #if MPI
    let communicator = try MPI()
    guard !communicator.process.isFirst else {
        return try ProcessGroup.$current.withValue(communicator, operation: work)
    }
    let output = OutputSilence()
    do {
        try ProcessGroup.$current.withValue(communicator, operation: work)
    } catch is EndedTogether {
        // The first process says why, and its exit status is that of all.
        throw ExitCode.success
    } catch let error as WuerstchenError {
        output.end()
        throw WuerstchenError(error.code, "\(launched): \(error.message)")
    } catch {
        output.end()
        throw error
    }
    #else
    throw ValidationError(
        "this is \(launched), and the command was built without MPI: build it with "
            + "swift build -c release --package-path Examples --traits MPI")
    #endif
}

#if MPI
/// Standard output and error that lead nowhere.
private struct OutputSilence {
    private let kept: [(descriptor: Int32, copy: Int32)]

    init() {
        let nowhere = open("/dev/null", O_WRONLY)
        kept = [STDOUT_FILENO, STDERR_FILENO].map { ($0, dup($0)) }
        for (descriptor, _) in kept { dup2(nowhere, descriptor) }
        close(nowhere)
    }

    /// Lets them lead where they led before.
    func end() {
        for (descriptor, copy) in kept {
            dup2(copy, descriptor)
            close(copy)
        }
    }
}
#endif
