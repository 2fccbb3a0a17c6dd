import Synchronization

/// A line of bounded length in front of one worker: who is first may work, the others wait.
public final class GenerationQueue: Sendable {
    /// A place in the line, given up with ``leave()`` or when nobody holds it any more.
    ///
    /// The latter frees the place of a client that disappears before anything was sent to it.
    final class Ticket: Sendable {
        /// How many are ahead, whenever that changes; ends when it is this one's turn, or when the
        /// queue was closed.
        let ahead: AsyncStream<Int>
        private let number: Int
        private let queue: GenerationQueue

        fileprivate init(_ number: Int, _ ahead: AsyncStream<Int>, _ queue: GenerationQueue) {
            (self.number, self.ahead, self.queue) = (number, ahead, queue)
        }

        deinit { leave() }

        /// Whether this one may work.
        var isFirst: Bool { queue.isFirst(number) }

        /// Lets the next one work.
        func leave() { queue.remove(number) }
    }

    private struct Place {
        let number: Int
        let ahead: AsyncStream<Int>.Continuation
    }

    private struct State {
        var places: [Place] = []
        /// How many are let in that have no place yet.
        var arriving = 0
        var nextNumber = 0
        var isClosed = false
    }

    /// How many may wait while one works.
    public let waitingLimit: Int
    private let state = Mutex(State())

    /// An empty queue.
    public init(waitingLimit: Int) {
        self.waitingLimit = waitingLimit
    }

    /// How many wait.
    public var waiting: Int { state.withLock { max(0, $0.places.count - 1) } }

    /// Whether one works.
    public var isBusy: Bool { state.withLock { !$0.places.isEmpty } }

    /// Whether nobody is let in any more.
    public var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Turns away those who wait and everybody who comes. Who is at work may finish.
    public func close() {
        state.withLock { state in
            state.isClosed = true
            for place in state.places.dropFirst() { place.ahead.finish() }
            state.places.removeSubrange(min(1, state.places.count)...)
        }
    }

    enum Refusal: Error {
        case full
        case closed
    }

    /// A place at the end of the line for who brings what is to be worked on.
    ///
    /// Who is turned away need not bring it, and who takes long to keeps nobody's turn, but counts
    /// as one that waits.
    ///
    /// - Parameter bring: Gives what is to be worked on.
    /// - Returns: That, and the place.
    /// - Throws: `Refusal`, or what `bring` throws.
    func enter<Work: Sendable>(
        _ bring: () async throws -> Work
    ) async throws -> (work: Work, ticket: Ticket) {
        try state.withLock { state in
            guard !state.isClosed else { throw Refusal.closed }
            guard state.places.count + state.arriving <= waitingLimit else { throw Refusal.full }
            state.arriving += 1
        }
        let work: Work
        do {
            work = try await bring()
        } catch {
            state.withLock { $0.arriving -= 1 }
            throw error
        }
        return (work, try takePlace())
    }

    private func takePlace() throws -> Ticket {
        try state.withLock { state in
            state.arriving -= 1
            guard !state.isClosed else { throw Refusal.closed }
            // Only where one stands now is of interest.
            let (ahead, continuation) = AsyncStream.makeStream(
                of: Int.self, bufferingPolicy: .bufferingNewest(1))
            let number = state.nextNumber
            state.nextNumber += 1
            state.places.append(Place(number: number, ahead: continuation))
            Self.tell(state.places, from: state.places.count - 1)
            return Ticket(number, ahead, self)
        }
    }

    private func isFirst(_ number: Int) -> Bool {
        state.withLock { $0.places.first?.number == number }
    }

    private func remove(_ number: Int) {
        state.withLock { state in
            guard let index = state.places.firstIndex(where: { $0.number == number }) else {
                return
            }
            state.places.remove(at: index).ahead.finish()
            Self.tell(state.places, from: index)
        }
    }

    private static func tell(_ places: [Place], from start: Int) {
        for index in start..<places.count {
            places[index].ahead.yield(index)
            if index == 0 { places[index].ahead.finish() }
        }
    }
}
