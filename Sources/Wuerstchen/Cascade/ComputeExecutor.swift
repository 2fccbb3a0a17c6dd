private import Foundation

/// Runs long computations of asynchronous code on threads of their own, so that Swift's few shared
/// threads stay free for what must not wait.
final class ComputeExecutor: TaskExecutor {
    private static let shared = ComputeExecutor()

    /// Runs a computation as part of the current task: its cancellation is seen inside.
    static func run<Result: Sendable>(
        _ computation: @Sendable () throws -> Result
    ) async throws -> Result {
        try await withTaskExecutorPreference(shared) { try await computed(computation) }
    }

    /// Nonisolated and asynchronous, so that it runs where the task prefers to.
    @concurrent
    private static func computed<Result: Sendable>(
        _ computation: @Sendable () throws -> Result
    ) async throws -> Result {
        try computation()
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        // A thread for each piece of work: it lasts for a step of a network or longer.
        let thread = Thread { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
        thread.stackSize = 8 << 20
        thread.start()
    }
}
