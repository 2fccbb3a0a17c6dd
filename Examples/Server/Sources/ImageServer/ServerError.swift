import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import Wuerstchen

/// What a client is told when its request is not met, in the shape that OpenAI's clients read.
struct ServerError: HTTPResponseError {
    var status: HTTPResponse.Status
    /// What is wrong and what to do.
    var message: String
    /// The part of the request that is wrong.
    var parameter: String?
    /// A word for programs.
    var code: String
    /// After how many seconds it makes sense to ask again.
    var retryAfter: Int?

    private struct Body: Encodable {
        struct Contents: Encodable {
            let message: String
            let type: String
            let param: String?
            let code: String
        }
        let error: Contents
    }

    private var type: String {
        switch status.code {
        case 429: "rate_limit_exceeded"
        case 400..<500: "invalid_request_error"
        default: "server_error"
        }
    }

    /// The error as JSON.
    var json: Data {
        get throws {
            let contents = Body.Contents(
                message: message, type: type, param: parameter, code: code)
            return try JSONEncoder.stable.encode(Body(error: contents))
        }
    }

    func response(from request: Request, context: some RequestContext) throws -> Response {
        var headers: HTTPFields = [.contentType: "application/json; charset=utf-8"]
        if let retryAfter { headers[.retryAfter] = "\(retryAfter)" }
        if status == .unauthorized { headers[.wwwAuthenticate] = "Bearer" }
        return Response(
            status: status, headers: headers,
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: try json)))
    }
}

extension ServerError {
    /// A request that cannot be met as it is.
    static func invalid(_ parameter: String?, _ message: String) -> ServerError {
        ServerError(
            status: .badRequest, message: message, parameter: parameter, code: "invalid_value")
    }

    /// Does something with a field of a request, and names that where the cascade refuses it.
    static func naming<Result>(_ parameter: String, _ work: () throws -> Result) throws -> Result {
        do {
            return try work()
        } catch let error as WuerstchenError
            where [.invalidRequest, .malformedFile, .unreadableFile].contains(error.code)
        {
            throw invalid(parameter, error.message)
        }
    }

    /// The server is about to stop.
    static let shuttingDown = ServerError(
        status: .serviceUnavailable, message: "the server is shutting down; ask another or later",
        code: "shutting_down", retryAfter: 10)

    /// Any error, as far as it is a client's business.
    init(_ error: any Error) {
        switch error {
        case let error as ServerError:
            self = error
        case let error as WuerstchenError where error.code == .invalidRequest:
            self = .invalid(nil, error.message)
        case is CancellationError:
            // Nobody is there to be told; the number is the one that proxies log.
            self.init(
                status: HTTPResponse.Status(code: 499, reasonPhrase: "Client Closed Request"),
                message: "the client left", code: "client_left")
        case is NIOTooManyBytesError:
            self.init(
                status: .contentTooLarge,
                message: "the body is longer than this server accepts; send smaller images",
                code: "body_too_large")
        case let error as any HTTPResponseError:
            self.init(
                status: error.status,
                message: (error as? HTTPError)?.body ?? error.status.reasonPhrase.lowercased(),
                code: error.status.reasonPhrase.lowercased().replacing(" ", with: "_"))
        default:
            self.init(
                status: .internalServerError,
                message: "the server failed to make the image; its log says why",
                code: "internal_error")
        }
    }
}

extension JSONEncoder {
    /// The same bytes for the same value.
    static var stable: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }
}

extension ServerError {
    /// What is wrong with JSON.
    init(_ error: DecodingError) {
        func path(_ context: DecodingError.Context) -> String? {
            context.codingPath.isEmpty
                ? nil : context.codingPath.map(\.stringValue).joined(separator: ".")
        }
        self =
            switch error {
            case .keyNotFound(let key, _):
                .invalid(key.stringValue, "\(key.stringValue) is missing")
            case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
                .invalid(
                    path(context),
                    "\(path(context) ?? "the body") must be \(ServerError.name(of: type))")
            case .dataCorrupted(let context):
                .invalid(
                    path(context),
                    "\(path(context) ?? "the body") cannot be read: \(context.debugDescription)")
            @unknown default: .invalid(nil, "the body cannot be read")
            }
    }

    private static func name(of type: any Any.Type) -> String {
        switch type {
        case is String.Type: "a text"
        case is Bool.Type: "true or false"
        case is Int.Type, is UInt64.Type: "a whole number"
        case is Float.Type, is Double.Type: "a number"
        case is Data.Type: "a file in base64"
        default: "a JSON object"
        }
    }
}
