import HTTPTypes
import NIOPosix
import Wuerstchen

/// Makes the images of one request at a time with one cascade.
struct ImageService: Sendable {
    let cascade: Cascade
    let queue: GenerationQueue
    let metrics = ServerMetrics()

    /// A place in the queue for some work, which is only read where there is one.
    ///
    /// - Throws: `ServerError` where there is none, or what reading throws.
    func enter(
        _ read: () async throws -> ImageWork
    ) async throws -> (work: ImageWork, ticket: GenerationQueue.Ticket) {
        do {
            return try await queue.enter(read)
        } catch GenerationQueue.Refusal.full {
            metrics.count(.rejected)
            let seconds = (metrics.meanSeconds ?? 1) * Double(queue.waitingLimit + 1)
            throw ServerError(
                status: .tooManyRequests,
                message: "\(queue.waitingLimit) requests wait already; ask again later",
                code: "queue_full", retryAfter: max(1, Int(seconds.rounded(.up))))
        } catch GenerationQueue.Refusal.closed {
            metrics.count(.rejected)
            throw ServerError.shuttingDown
        }
    }

    /// What happens to a request, from the wait on. Whoever stops listening ends the work.
    ///
    /// The work does not wait for its listener: a client that reads slowly keeps nobody else.
    func events(
        of work: ImageWork, _ ticket: GenerationQueue.Ticket
    ) -> AsyncThrowingStream<ServerEvent, any Error> {
        AsyncThrowingStream { continuation in
            let task = Task {
                do {
                    try await perform(work, ticket) { continuation.yield($0) }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    private func perform(
        _ work: ImageWork, _ ticket: GenerationQueue.Ticket,
        report: @Sendable (ServerEvent) -> Void
    ) async throws {
        defer { ticket.leave() }
        do {
            let entered = ContinuousClock.now
            for await ahead in ticket.ahead { report(.queued(ServerEvent.Queued(ahead: ahead))) }
            try Task.checkCancellation()
            guard ticket.isFirst else { throw ServerError.shuttingDown }
            let begun = ContinuousClock.now
            metrics.waited(begun - entered)
            try await generate(work, report: report)
            let duration = ContinuousClock.now - begun
            metrics.worked(duration)
            metrics.count(.completed)
            report(.done(ServerEvent.Done(seconds: duration.seconds)))
        } catch {
            metrics.count(outcome(of: error))
            throw error
        }
    }

    private func outcome(of error: any Error) -> ServerMetrics.Outcome {
        if error is CancellationError { return .cancelled }
        switch ServerError(error).status.code {
        case 503: return .rejected
        case 400..<500: return .invalid
        default: return .failed
        }
    }

    private func generate(
        _ work: ImageWork, report: @Sendable (ServerEvent) -> Void
    ) async throws {
        let request = work.request
        var done = 0
        // Each step runs on a thread of the library's own.
        for try await event in cascade.generation(of: request) {
            switch event {
            case .step(let step):
                report(
                    .step(
                        ServerEvent.Step(
                            stage: step.stage.description, index: step.index, total: step.total,
                            unknownWords: step.promptFindings.unknownWords,
                            unread: step.promptFindings.unreadPrompt)))
                if work.previews, let latent = step.semanticLatent {
                    let decoder = cascade.previewDecoder
                    let files = try await Self.offPool {
                        try decoder.decode(latent).map { try $0.pngData() }
                    }
                    for (index, file) in files.enumerated() {
                        report(.preview(ServerEvent.Preview(image: done + index, png: file)))
                    }
                }
            case .images(let images, let first):
                for (index, image) in zip(first..., images) {
                    let text = work.metadata[index]
                    let file = try await Self.offPool { try image.pngData(text: text) }
                    report(
                        .image(
                            ServerEvent.Made(
                                image: index, seed: request.seed &+ UInt64(index),
                                width: image.width, height: image.height, png: file)))
                }
                done = first + images.count
                metrics.countImages(images.count)
            }
        }
    }

    /// Does what takes longer than a moment on threads that may be kept busy, which those of
    /// Swift's pool, two on a small machine, may not.
    static func offPool<Result: Sendable>(
        _ work: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        try await NIOThreadPool.singleton.runIfActive(work)
    }
}
