import Foundation
import NIOCore

/// What a client hears of its request.
enum ServerEvent: Sendable {
    /// It waits.
    struct Queued: Encodable { let ahead: Int }

    /// A stage took a step.
    struct Step: Encodable {
        let stage: String
        let index: Int
        let total: Int
        /// Words of the prompt that the model does not know.
        let unknownWords: [String]
        /// The end of a prompt that is too long.
        let unread: String
    }

    /// What an image may become.
    struct Preview: Encodable {
        let image: Int
        let png: Data
    }

    /// An image.
    struct Made: Encodable {
        let image: Int
        let seed: UInt64
        let width: Int
        let height: Int
        let png: Data
    }

    /// All images were made.
    struct Done: Encodable { let seconds: Double }

    case queued(Queued)
    case step(Step)
    case preview(Preview)
    case image(Made)
    case done(Done)
    case error(ServerError)

    /// The event as server-sent events are written.
    var text: ByteBuffer {
        get throws {
            let (name, json) = try encoded
            var buffer = ByteBuffer(string: "event: \(name)\ndata: ")
            buffer.writeBytes(json)
            buffer.writeString("\n\n")
            return buffer
        }
    }

    private var encoded: (name: String, json: Data) {
        get throws {
            let encoder = JSONEncoder.stable
            encoder.keyEncodingStrategy = .convertToSnakeCase
            return switch self {
            case .queued(let value): ("queued", try encoder.encode(value))
            case .step(let value): ("step", try encoder.encode(value))
            case .preview(let value): ("preview", try encoder.encode(value))
            case .image(let value): ("image", try encoder.encode(value))
            case .done(let value): ("done", try encoder.encode(value))
            case .error(let error): ("error", try error.json)
            }
        }
    }
}
