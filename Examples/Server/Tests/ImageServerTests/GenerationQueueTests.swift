import Testing

@testable import ImageServer

/// The line in front of the worker.
struct GenerationQueueTests {
    @Test func whoComesFirstIsFirst() async throws {
        let queue = GenerationQueue(waitingLimit: 2)
        let first = try queue.enter()
        let second = try queue.enter()
        let third = try queue.enter()
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
        let first = try queue.enter()
        var second: GenerationQueue.Ticket? = try queue.enter()
        let third = try queue.enter()
        #expect(second?.isFirst == false)
        // Nobody holds it any more.
        second = nil
        var places = third.ahead.makeAsyncIterator()
        #expect(await places.next() == 1)
        #expect(first.isFirst)
    }

    @Test func aFullQueueRefuses() throws {
        let queue = GenerationQueue(waitingLimit: 1)
        let tickets = [try queue.enter(), try queue.enter()]
        #expect(throws: GenerationQueue.Refusal.full) { try queue.enter() }
        tickets[0].leave()
        let last = try queue.enter()
        #expect(!last.isFirst)
    }

    @Test func closingTurnsAwayAllButTheFirst() async throws {
        let queue = GenerationQueue(waitingLimit: 2)
        let first = try queue.enter()
        let second = try queue.enter()
        queue.close()
        var places = second.ahead.makeAsyncIterator()
        #expect(await places.next() == 1)
        #expect(await places.next() == nil)
        #expect(first.isFirst && !second.isFirst)
        #expect(throws: GenerationQueue.Refusal.closed) { try queue.enter() }
    }
}
