import Foundation
import ImageServer
import ServerClient
import Testing
import Wuerstchen

/// What happens while a request is worked on: behind a gate that only the test opens.
@Suite(.timeLimit(.minutes(5)))
struct WaitingTests {
    private static let paths = ["/v1/generations", "/v1/images/generations"]

    private func body() throws -> Data { try json(["prompt": "a red house"]) }

    /// Asks for an image and gives the answer.
    private func ask(_ client: ServerClient, _ path: String) throws -> Task<
        ServerResponse, any Error
    > {
        let body = try body()
        return Task { try await client.send(.post, path, body: body) }
    }

    @Test(arguments: paths)
    func aFullQueueAnswers429(path: String) async throws {
        let gate = Gate()
        var settings = ServerSettings()
        settings.waitingLimit = 1
        try await withServer(Cascade.gated(by: gate), settings) { server, client in
            let first = try ask(client, path)
            try await eventually { gate.arrivals == 1 }
            let second = try ask(client, path)
            try await eventually { server.queue.waiting == 1 }
            let refused = try await client.send(.post, path, body: body())
            #expect(refused.status == 429)
            #expect(try #require(refused.headers["retry-after"].flatMap { Int($0) }) >= 1)
            #expect(try refused.error["code"] as? String == "queue_full")
            #expect(try refused.error["type"] as? String == "rate_limit_exceeded")
            gate.open()
            #expect(try await first.value.status == 200)
            #expect(try await second.value.status == 200)
            let counts = try await client.counts()
            #expect(counts["wuerstchen_requests_total{outcome=\"rejected\"}"] == 1)
            #expect(counts["wuerstchen_requests_total{outcome=\"completed\"}"] == 2)
        }
    }

    @Test(arguments: paths)
    func aFullQueueReadsNothing(path: String) async throws {
        let gate = Gate()
        var settings = ServerSettings()
        settings.waitingLimit = 0
        settings.maximumBody = 1000
        try await withServer(Cascade.gated(by: gate), settings) { _, client in
            let first = try ask(client, path)
            try await eventually { gate.arrivals == 1 }
            // What a server that reads them would find fault with.
            for body in ["{", String(repeating: "a", count: 2000)] {
                let refused = try await client.send(.post, path, body: Data(body.utf8))
                #expect(refused.status == 429)
            }
            gate.open()
            #expect(try await first.value.status == 200)
        }
    }

    @Test(arguments: paths)
    func aBodyThatDoesNotComeIsNotWaitedFor(path: String) async throws {
        let gate = Gate()
        gate.open()
        var settings = ServerSettings()
        settings.waitingLimit = 0
        settings.maximumReading = .milliseconds(300)
        try await withServer(Cascade.gated(by: gate), settings) { _, client in
            let body = try body()
            let refused = try await client.send(.post, path, body: body, length: body.count + 1)
            #expect(refused.status == 408)
            #expect(try refused.error["code"] as? String == "body_too_slow")
            #expect(try await client.send(.post, path, body: body).status == 200)
        }
    }

    @Test(arguments: paths)
    func aClientThatLeavesEndsTheWork(path: String) async throws {
        let gate = Gate()
        try await withServer(Cascade.gated(by: gate)) { server, client in
            let first = try ask(client, path)
            try await eventually { gate.arrivals == 1 }
            first.cancel()
            // The gate stays shut: only cancellation gets the request out of there.
            try await eventually { !server.queue.isBusy }
            let counts = try await client.counts()
            #expect(counts["wuerstchen_requests_total{outcome=\"cancelled\"}"] == 1)
        }
    }

    @Test(arguments: paths)
    func aClientThatLeavesTheQueueMakesRoom(path: String) async throws {
        let gate = Gate()
        try await withServer(Cascade.gated(by: gate)) { server, client in
            let first = try ask(client, path)
            try await eventually { gate.arrivals == 1 }
            let second = try ask(client, path)
            try await eventually { server.queue.waiting == 1 }
            second.cancel()
            try await eventually { server.queue.waiting == 0 }
            #expect(server.queue.isBusy && gate.arrivals == 1)
            gate.open()
            #expect(try await first.value.status == 200)
            let counts = try await client.counts()
            #expect(counts["wuerstchen_requests_total{outcome=\"cancelled\"}"] == 1)
            #expect(counts["wuerstchen_requests_total{outcome=\"completed\"}"] == 1)
        }
    }

    @Test func theServerAnswersWhileItWorks() async throws {
        let gate = Gate()
        try await withServer(Cascade.gated(by: gate)) { _, client in
            let first = try ask(client, "/v1/generations")
            try await eventually { gate.arrivals == 1 }
            #expect(try await client.send(.get, "/health").status == 200)
            #expect(try await client.counts()["wuerstchen_busy"] == 1)
            gate.open()
            #expect(try await first.value.status == 200)
        }
    }

    @Test func aServerThatStopsFinishesWhatItBegan() async throws {
        let gate = Gate()
        try await withServer(Cascade.gated(by: gate)) { server, client in
            let path = "/v1/images/generations"
            let first = try ask(client, path)
            try await eventually { gate.arrivals == 1 }
            let second = try ask(client, path)
            try await eventually { server.queue.waiting == 1 }
            server.queue.close()
            for refused in [
                try await second.value, try await client.send(.post, path, body: body()),
            ] {
                #expect(refused.status == 503)
                #expect(try refused.error["code"] as? String == "shutting_down")
            }
            #expect(try await client.send(.get, "/health").status == 503)
            gate.open()
            #expect(try await first.value.status == 200)
        }
    }

    @Test func stoppingWaitsForTheCurrentRequest() async throws {
        let gate = Gate()
        let (answers, continuation) = AsyncStream.makeStream(of: Int.self)
        try await withServer(Cascade.gated(by: gate)) { server, client in
            let body = try body()
            Task {
                let answer = try? await client.send(.post, "/v1/images/generations", body: body)
                continuation.yield(answer?.status ?? 0)
            }
            try await eventually { gate.arrivals == 1 }
            Task {
                try await eventually { server.queue.isClosed }
                gate.open()
            }
            // The server is told to stop now, and the gate opens only after it was.
        }
        var first = answers.makeAsyncIterator()
        #expect(await first.next() == 200)
    }
}
