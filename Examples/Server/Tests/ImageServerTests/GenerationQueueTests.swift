import Testing

@testable import ImageServer

/// The line in front of the worker.
struct GenerationQueueTests {
    private func enter(_ queue: GenerationQueue) async throws -> GenerationQueue.Ticket {
        try await queue.enter {}.ticket
    }

    @Test func whoComesFirstIsFirst() async throws {
        let queue = GenerationQueue(waitingLimit: 2)
        let first = try await enter(queue)
        let second = try await enter(queue)
        let third = try await enter(queue)
        #expect(first.isFirst && !second.isFirst && !third.isFirst)
        #expect(queue.waiting == 2)
        var places = third.ahead.makeAsyncIterator()
        #expect(await places.next() == 2)
        first.leave()
        #expect(await places.next() == 1)
        #expect(second.isFirst)
        second.leave()
        #expect(await places.next() == 0)
        #expect(await places.next() == nil)
        #expect(third.isFirst && queue.waiting == 0)
        // Again, as when the ticket is given up after it was left.
        second.leave()
        #expect(third.isFirst)
    }

    @Test func whoLeavesTheMiddleLetsOthersMoveUp() async throws {
        let queue = GenerationQueue(waitingLimit: 2)
        let first = try await enter(queue)
        var second: GenerationQueue.Ticket? = try await enter(queue)
        let third = try await enter(queue)
        #expect(second?.isFirst == false)
        // Nobody holds it any more.
        second = nil
        var places = third.ahead.makeAsyncIterator()
        #expect(await places.next() == 1)
        #expect(first.isFirst)
    }

    @Test func aFullQueueRefuses() async throws {
        let queue = GenerationQueue(waitingLimit: 1)
        let tickets = [try await enter(queue), try await enter(queue)]
        await #expect(throws: GenerationQueue.Refusal.full) {
            _ = try await queue.enter { Issue.record("what nobody will work on was brought") }
        }
        tickets[0].leave()
        let last = try await enter(queue)
        #expect(!last.isFirst)
    }

    @Test func whoBringsSomethingTakesRoomAndNobodysTurn() async throws {
        struct Lost: Error {}
        let queue = GenerationQueue(waitingLimit: 1)
        let (work, late) = try await queue.enter {
            let first = try await enter(queue)
            #expect(first.isFirst)
            await #expect(throws: GenerationQueue.Refusal.full) { _ = try await enter(queue) }
            return first
        }
        #expect(work.isFirst && !late.isFirst)
        late.leave()
        // Who fails to bring it makes room again.
        await #expect(throws: Lost.self) {
            _ = try await queue.enter { () async throws -> Void in throw Lost() }
        }
        let next = try await enter(queue)
        #expect(work.isFirst && !next.isFirst)
    }

    @Test func whoComesTooLateIsRefused() async throws {
        let queue = GenerationQueue(waitingLimit: 1)
        await #expect(throws: GenerationQueue.Refusal.closed) {
            _ = try await queue.enter { queue.close() }
        }
        #expect(!queue.isBusy)
    }

    @Test func closingTurnsAwayAllButTheFirst() async throws {
        let queue = GenerationQueue(waitingLimit: 2)
        let first = try await enter(queue)
        let second = try await enter(queue)
        queue.close()
        var places = second.ahead.makeAsyncIterator()
        #expect(await places.next() == 1)
        #expect(await places.next() == nil)
        #expect(first.isFirst && !second.isFirst)
        await #expect(throws: GenerationQueue.Refusal.closed) { _ = try await enter(queue) }
    }
}
