import Foundation
import Wuerstchen

/// The body of `POST /v1/images/generations`, as OpenAI's clients send it. Fields that mean nothing
/// here, such as `quality` and `user`, are passed over.
struct OpenAIBody: Decodable {
    var prompt: String
    var n: Int?
    /// Such as `512x512`, or `auto`.
    var size: String?
    var responseFormat: String?
    /// No field of OpenAI's: which image is made.
    var seed: UInt64?

    enum CodingKeys: String, CodingKey {
        case prompt, n, size, seed
        case responseFormat = "response_format"
    }

    /// The work, within what the server allows and the cascade can do.
    ///
    /// - Throws: `ServerError` that names the field, or `WuerstchenError`.
    func work(_ cascade: Cascade, _ settings: ServerSettings) throws -> ImageWork {
        guard (responseFormat ?? "b64_json") == "b64_json" else {
            throw ServerError.invalid(
                "response_format", "this server keeps no images to link to; ask for b64_json")
        }
        let size = try parsedSize ?? settings.defaultSize(of: cascade)
        let request = GenerationRequest(
            prompt, size: size, seed: seed ?? .random(in: 0..<1 << 32), count: n ?? 1)
        try settings.check(request, count: "n")
        try settings.check(size, cascade, width: "size", height: "size")
        try cascade.validate(request)
        return try ImageWork(request, cascade, previews: false)
    }

    private var parsedSize: ImageSize? {
        get throws {
            guard let size, size != "auto" else { return nil }
            let sides = size.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
            guard sides.count == 2, let width = sides[0], let height = sides[1] else {
                throw ServerError.invalid(
                    "size", "size is \(size); give width and height, as in 256x256, or auto")
            }
            return ImageSize(width: width, height: height)
        }
    }
}

/// The answer.
struct OpenAIAnswer: Encodable {
    struct Entry: Encodable {
        let image: Data
        enum CodingKeys: String, CodingKey { case image = "b64_json" }
    }
    let created: Int
    let data: [Entry]
}

/// The answer of `GET /v1/models`: the one model in OpenAI's shape, and what a page needs to know.
struct ModelsAnswer: Encodable {
    struct Model: Encodable {
        let id: String
        var object = "model"
        var created = 0
        var ownedBy = "wuerstchen"
        let width: Int
        let height: Int
        let maximumSide: Int
        let maximumImages: Int
        /// Whether requests may start from an image.
        let takesImages: Bool
        /// Whether they may keep some of it. Students begin with pure noise, which takes a strength
        /// of 1.
        let takesStrengths: Bool
    }
    var object = "list"
    let data: [Model]
}
