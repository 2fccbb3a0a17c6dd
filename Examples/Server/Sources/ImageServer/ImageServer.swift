import Foundation
import HTTPTypes
public import Hummingbird
import HummingbirdCore
public import Logging
public import NIOCore
public import ServiceLifecycle
public import Wuerstchen

/// A server in front of one cascade.
///
/// | | |
/// | --- | --- |
/// | `GET /` | the page |
/// | `POST /v1/generations` | images with progress and previews, as server-sent events |
/// | `POST /v1/images/generations` | images as OpenAI's clients ask for them |
/// | `GET /v1/models` | the model and what is allowed |
/// | `GET /health` | whether requests are taken |
/// | `GET /metrics` | counts for Prometheus |
public struct ImageServer: Sendable {
    private let service: ImageService
    private let settings: ServerSettings

    /// The line of requests. Closing it lets the server come to an end.
    public var queue: GenerationQueue { service.queue }

    /// A server.
    ///
    /// - Parameters:
    ///   - cascade: What makes the images, with its networks in memory.
    ///   - settings: What is allowed.
    public init(_ cascade: Cascade, settings: ServerSettings = ServerSettings()) {
        service = ImageService(
            cascade: cascade, queue: GenerationQueue(waitingLimit: settings.waitingLimit))
        self.settings = settings
    }

    /// The server as Hummingbird runs it.
    ///
    /// - Parameters:
    ///   - host: The address to listen at.
    ///   - port: The port; 0 for any.
    ///   - logger: Where to log.
    ///   - onServerRunning: Called with the channel that listens.
    /// - Returns: The application.
    public func application(
        host: String, port: Int, logger: Logger,
        onServerRunning: @escaping @Sendable (any Channel) async -> Void = { _ in }
    ) -> some ApplicationProtocol {
        Application(
            router: router(),
            server: .http1(configuration: HTTP1Channel.Configuration(idleTimeout: .seconds(60))),
            configuration: ApplicationConfiguration(
                address: .hostname(host, port: port), serverName: "Wuerstchen",
                availableConnectionsDelegate: MaximumAvailableConnections(
                    settings.maximumConnections)),
            onServerRunning: onServerRunning, logger: logger)
    }

    private func router() -> Router<BasicRequestContext> {
        let router = Router(options: .autoGenerateHeadEndpoints)
        router.add(middleware: ErrorMiddleware())
        router.get("/") { _, _ in Self.page }
        router.get("health") { _, _ in try health() }
        let guarded = router.group().add(middleware: TokenMiddleware(token: settings.token))
        guarded.get("metrics") { _, _ in
            Response(
                status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
                body: ResponseBody(byteBuffer: ByteBuffer(string: service.metrics.text(queue))))
        }
        guarded.get("v1/models") { _, _ in try models() }
        guarded.post("v1/generations") { request, _ in try await generate(request) }
        guarded.post("v1/images/generations") { request, _ in try await openAI(request) }
        return router
    }

    /// The page runs no script but its own and talks to nobody but this server.
    private static let page = Response(
        status: .ok,
        headers: [
            .contentType: "text/html; charset=utf-8",
            .contentSecurityPolicy: "default-src 'none'; connect-src 'self'; img-src 'self' blob: "
                + "data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                + "frame-ancestors 'none'",
        ], body: ResponseBody(byteBuffer: ByteBuffer(bytes: PackageResources.page_html)))

    private func health() throws -> Response {
        struct Health: Encodable {
            let status: String
            let waiting: Int
        }
        let health = Health(
            status: queue.isClosed ? "shutting down" : "ok", waiting: queue.waiting)
        return try Self.json(health, status: queue.isClosed ? .serviceUnavailable : .ok)
    }

    private func models() throws -> Response {
        let cascade = service.cascade
        let size = settings.defaultSize(of: cascade)
        let stages = [
            try cascade.stageC.description(),
            try (cascade.decoder as? DiffusionDecoder)?.stageB.description(),
        ]
        return try Self.json(
            ModelsAnswer(data: [
                ModelsAnswer.Model(
                    id: cascade.name, width: size.width, height: size.height,
                    maximumSide: settings.maximumSide, maximumImages: settings.maximumImages,
                    takesImages: cascade.compressor != nil,
                    takesStrengths: stages.allSatisfy { $0?.flow?.steps == nil })
            ]))
    }

    private func generate(_ request: Request) async throws -> Response {
        var request = request
        let (work, ticket) = try await service.enter {
            try await read(&request, as: GenerationBody.self) { body in
                try body.work(service.cascade, settings)
            }
        }
        let body = request.body
        return Response(
            status: .ok,
            headers: [.contentType: "text/event-stream", .cacheControl: "no-store"],
            body: ResponseBody { writer in
                try await body.consumeWithCancellationOnInboundClose { _ in
                    do {
                        for try await event in service.events(of: work, ticket) {
                            try await writer.write(event.text)
                        }
                        try Task.checkCancellation()
                    } catch let error where !(error is CancellationError) {
                        try await writer.write(ServerEvent.error(ServerError(error)).text)
                    }
                }
                try await writer.finish(nil)
            })
    }

    private func openAI(_ request: Request) async throws -> Response {
        var request = request
        let (work, ticket) = try await service.enter {
            try await read(&request, as: OpenAIBody.self) { body in
                try body.work(service.cascade, settings)
            }
        }
        let images = try await request.body.consumeWithCancellationOnInboundClose { _ in
            var images: [OpenAIAnswer.Entry] = []
            for try await case .image(let made) in service.events(of: work, ticket) {
                images.append(OpenAIAnswer.Entry(image: made.png))
            }
            try Task.checkCancellation()
            return images
        }
        return try Self.json(
            OpenAIAnswer(created: Int(Date().timeIntervalSince1970), data: images))
    }

    /// Reads the body of a request, of which nothing is kept but what is made of it.
    private func read<Body: Decodable & SendableMetatype, Result: Sendable>(
        _ request: inout Request, as type: Body.Type,
        _ convert: @escaping @Sendable (Body) throws -> Result
    ) async throws -> Result {
        do {
            // Pages of other sites can send any other type here without being asked.
            let type = request.headers[.contentType] ?? "nothing"
            guard type.lowercased().hasPrefix("application/json") else {
                throw ServerError(
                    status: .unsupportedMediaType,
                    message: "the body is said to be \(type); send JSON with "
                        + "Content-Type: application/json", code: "unsupported_media_type")
            }
            let bytes = try await collect(request.body)
            // By what is left of the body it is noticed that the client leaves.
            request.body = RequestBody(buffer: ByteBuffer())
            return try await ImageService.offPool {
                do {
                    return try convert(
                        JSONDecoder().decode(Body.self, from: Data(bytes.readableBytesView)))
                } catch let error as DecodingError {
                    throw ServerError(error)
                }
            }
        } catch {
            service.metrics.count(.invalid)
            throw error
        }
    }

    /// The bytes of a body, unless they are too many or take too long to come.
    private func collect(_ body: RequestBody) async throws -> ByteBuffer {
        let settings = settings
        return try await withThrowingTaskGroup(of: ByteBuffer.self) { group in
            group.addTask { try await body.collect(upTo: settings.maximumBody) }
            group.addTask {
                try await Task.sleep(for: settings.maximumReading)
                throw ServerError(
                    status: .requestTimeout,
                    message: "the body takes longer than this server waits; send smaller images",
                    code: "body_too_slow")
            }
            defer { group.cancelAll() }
            return try await group.next() ?? ByteBuffer()
        }
    }

    private static func json(
        _ value: some Encodable, status: HTTPResponse.Status = .ok
    ) throws -> Response {
        let encoder = JSONEncoder.stable
        encoder.keyEncodingStrategy = .convertToSnakeCase
        return Response(
            status: status, headers: [.contentType: "application/json; charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: try encoder.encode(value))))
    }
}

extension GenerationQueue: Service {
    /// Waits for the server to be told to stop and then closes the queue, so that only the request
    /// that is worked on has to be waited for.
    public func run() async throws {
        try? await gracefulShutdown()
        close()
    }
}
