import Foundation
import Hummingbird
import ImageServer
import Logging
import ServerClient
import ServiceLifecycle
import Wuerstchen

/// Runs a server on a free port while a test talks to it.
func withServer(
    _ cascade: Cascade, _ settings: ServerSettings = ServerSettings(),
    _ test: (ImageServer, ServerClient) async throws -> Void
) async throws {
    let server = ImageServer(cascade, settings: settings)
    let (ports, continuation) = AsyncStream.makeStream(of: Int.self)
    var logger = Logger(label: "tests")
    logger.logLevel = .critical
    let application = server.application(host: "127.0.0.1", port: 0, logger: logger) { channel in
        continuation.yield(channel.localAddress?.port ?? 0)
    }
    let group = ServiceGroup(services: [application, server.queue], logger: logger)
    async let running: Void = group.run()
    var first = ports.makeAsyncIterator()
    let port = await first.next() ?? 0
    do {
        try await test(server, ServerClient(port: port, token: settings.token))
    } catch {
        await group.triggerGracefulShutdown()
        throw error
    }
    await group.triggerGracefulShutdown()
    try await running
}

/// Waits until something holds.
func eventually(_ condition: () async throws -> Bool) async throws {
    while try await !condition() { try await Task.sleep(for: .milliseconds(5)) }
}

/// JSON of a request.
func json(_ fields: [String: Any]) throws -> Data {
    try JSONSerialization.data(withJSONObject: fields)
}

extension ServerResponse {
    /// The body as JSON.
    var object: [String: Any] {
        get throws { try JSONSerialization.jsonObject(with: body) as? [String: Any] ?? [:] }
    }

    /// What it says is wrong.
    var error: [String: Any] {
        get throws { try object["error"] as? [String: Any] ?? [:] }
    }
}

extension SentEvent {
    /// The data as JSON.
    var object: [String: Any] {
        get throws { try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:] }
    }

    /// The image in it.
    var image: Image {
        get throws {
            let text = try object["png"] as? String ?? ""
            return try Image(pngData: Data(base64Encoded: text) ?? Data())
        }
    }
}

extension ServerClient {
    /// Everything that the server counts, by name.
    func counts() async throws -> [String: Double] {
        let text = String(decoding: try await send(.get, "/metrics").body, as: UTF8.self)
        let lines = text.split(separator: "\n").filter { !$0.hasPrefix("#") }
        return Dictionary(
            lines.map { line in
                let parts = line.split(separator: " ")
                return (String(parts[0]), Double(parts[1]) ?? .nan)
            }, uniquingKeysWith: { first, _ in first })
    }

    /// All events of a request.
    func allEvents(_ fields: [String: Any]) async throws -> [SentEvent] {
        let (events, continuation) = AsyncStream.makeStream(of: SentEvent.self)
        try await self.events("/v1/generations", body: json(fields)) { continuation.yield($0) }
        continuation.finish()
        return await events.reduce(into: []) { $0.append($1) }
    }
}
