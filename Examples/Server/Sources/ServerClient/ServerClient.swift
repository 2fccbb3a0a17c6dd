public import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix

/// A response of the server.
public struct ServerResponse: Sendable {
    /// Such as 200.
    public let status: Int
    /// The headers by their names in small letters.
    public let headers: [String: String]
    /// All of the body.
    public let body: Data
}

/// An event that the server sent.
public struct SentEvent: Sendable {
    /// Such as `step`.
    public let name: String
    /// JSON.
    public let data: Data
}

/// A client of one request per connection, for tests and load. Cancelling a call closes its
/// connection.
public struct ServerClient: Sendable {
    /// What goes wrong.
    public struct Failure: Error, CustomStringConvertible {
        /// For a person.
        public let description: String
    }

    /// What is done with a path.
    public enum Method: String, Sendable {
        /// Reading.
        case get = "GET"
        /// Asking for work.
        case post = "POST"
    }

    private let host: String
    /// The server's port.
    public let port: Int
    private let token: String?

    /// A client of the server at a host and port.
    public init(host: String = "127.0.0.1", port: Int, token: String? = nil) {
        (self.host, self.port, self.token) = (host, port, token)
    }

    /// Sends a request and waits for all of its response.
    ///
    /// - Parameters:
    ///   - method: What is done.
    ///   - path: The path.
    ///   - type: What the body is said to be.
    ///   - body: The body.
    ///   - length: How long the body is said to be; as it is if nil.
    /// - Returns: The response.
    /// - Throws: `Failure`, `CancellationError`, or what the network throws.
    public func send(
        _ method: Method, _ path: String, type: String = "application/json", body: Data? = nil,
        length: Int? = nil
    ) async throws -> ServerResponse {
        let received = Received()
        try await send(method, path, type: type, body: body, length: length) { part in
            await received.add(part)
        }
        try Task.checkCancellation()
        return try await received.response
    }

    /// Posts JSON and hands on the events that come back as they come.
    ///
    /// - Returns: The events, or one called `refused` with the body of a response that is none.
    /// - Throws: `Failure`, `CancellationError`, or what the network throws.
    public func events(
        _ path: String, body: Data, each: @escaping @Sendable (SentEvent) async -> Void
    ) async throws {
        let received = Received()
        try await send(.post, path, type: "application/json", body: body, length: nil) { part in
            await received.add(part)
            for event in await received.takeEvents() { await each(event) }
        }
        try Task.checkCancellation()
        let response = try await received.response
        if response.status != 200 { await each(SentEvent(name: "refused", data: response.body)) }
    }

    private func send(
        _ method: Method, _ path: String, type: String, body: Data?, length: Int?,
        each: @escaping @Sendable (HTTPClientResponsePart) async -> Void
    ) async throws {
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .connect(host: host, port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    return try NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>(
                        wrappingChannelSynchronously: channel)
                }
            }
        var headers = HTTPHeaders([("Host", "\(host):\(port)"), ("Connection", "close")])
        if let token { headers.add(name: "Authorization", value: "Bearer \(token)") }
        if let body {
            headers.add(name: "Content-Type", value: type)
            headers.add(name: "Content-Length", value: "\(length ?? body.count)")
        }
        let head = HTTPRequestHead(
            version: .http1_1, method: HTTPMethod(rawValue: method.rawValue), uri: path,
            headers: headers)
        try await channel.executeThenClose { inbound, outbound in
            // At once: a server that answers early may close the connection before the next write.
            let contents = body.map {
                [HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: $0)))]
            }
            try await outbound.write(contentsOf: [.head(head)] + (contents ?? []) + [.end(nil)])
            for try await part in inbound {
                await each(part)
                if case .end = part { break }
            }
        }
    }

    /// What has come of a response.
    private actor Received {
        private var head: HTTPResponseHead?
        private var body = Data()
        private var isComplete = false
        /// How much of the body was taken as events.
        private var taken = 0

        func add(_ part: HTTPClientResponsePart) {
            switch part {
            case .head(let head): self.head = head
            case .body(let buffer): body += Data(buffer.readableBytesView)
            case .end: isComplete = true
            }
        }

        var response: ServerResponse {
            get throws {
                guard let head, isComplete else {
                    throw Failure(
                        description: "the connection was closed before the response ended")
                }
                let headers = Dictionary(
                    head.headers.map { ($0.name.lowercased(), $0.value) },
                    uniquingKeysWith: { first, _ in first })
                return ServerResponse(
                    status: Int(head.status.code), headers: headers, body: body)
            }
        }

        /// The events that are complete and were not taken before.
        func takeEvents() -> [SentEvent] {
            guard head?.headers.first(name: "content-type") == "text/event-stream" else {
                return []
            }
            var events: [SentEvent] = []
            while let end = body[taken...].firstRange(of: Data("\n\n".utf8)) {
                var name = "message"
                var data = Data()
                for line in body[taken..<end.lowerBound].split(separator: UInt8(ascii: "\n")) {
                    if line.starts(with: Data("event: ".utf8)) {
                        name = String(decoding: line.dropFirst(7), as: UTF8.self)
                    } else if line.starts(with: Data("data: ".utf8)) {
                        data = Data(line.dropFirst(6))
                    }
                }
                events.append(SentEvent(name: name, data: data))
                taken = end.upperBound
            }
            return events
        }
    }
}
