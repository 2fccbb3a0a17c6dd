import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Wuerstchen

/// Answers every error as JSON, and logs what clients are not told.
struct ErrorMiddleware: RouterMiddleware {
    typealias Context = BasicRequestContext

    func handle(
        _ request: Request, context: BasicRequestContext,
        next: (Request, BasicRequestContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch {
            let told = ServerError(error)
            if told.status == .internalServerError { context.logger.error("\(error)") }
            return try told.response(from: request, context: context)
        }
    }
}

/// Lets only those in who send the token.
struct TokenMiddleware: RouterMiddleware {
    typealias Context = BasicRequestContext

    let token: String?

    func handle(
        _ request: Request, context: BasicRequestContext,
        next: (Request, BasicRequestContext) async throws -> Response
    ) async throws -> Response {
        guard let token else { return try await next(request, context) }
        let given = request.headers[.authorization] ?? ""
        guard given.lowercased().hasPrefix("bearer "),
            Self.equal(Array(given.utf8.dropFirst(7)), Array(token.utf8))
        else {
            throw ServerError(
                status: .unauthorized,
                message: "this server wants a token; send it as Authorization: Bearer TOKEN",
                code: "invalid_api_key")
        }
        return try await next(request, context)
    }

    /// Takes as long for a wrong token whose beginning is right as for any other.
    private static func equal(_ given: [UInt8], _ wanted: [UInt8]) -> Bool {
        guard given.count == wanted.count else { return false }
        return zip(given, wanted).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
