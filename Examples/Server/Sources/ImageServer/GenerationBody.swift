import Foundation
import Wuerstchen

/// The body of `POST /v1/generations`.
struct GenerationBody: Decodable {
    var prompt: String
    var negativePrompt: String?
    var width: Int?
    var height: Int?
    var seed: UInt64?
    var count: Int?
    /// Steps of Stage C.
    var steps: Int?
    /// Guidance of Stage C.
    var guidance: Float?
    /// A PNG file to start from.
    var image: Data?
    /// A PNG file of what of it is made anew.
    var mask: Data?
    var strength: Float?
    /// Whether Stage C's previews are sent; yes if it is left out.
    var previews: Bool?

    enum CodingKeys: String, CodingKey, CaseIterable {
        case prompt, width, height, seed, count, steps, guidance, image, mask, strength, previews
        case negativePrompt = "negative_prompt"
    }

    private struct AnyKey: CodingKey {
        let stringValue: String
        let intValue: Int? = nil
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    init(from decoder: any Decoder) throws {
        // A name that is not known is most likely misspelt, and would otherwise have no effect.
        let names = CodingKeys.allCases.map(\.rawValue)
        for key in try decoder.container(keyedBy: AnyKey.self).allKeys.map(\.stringValue).sorted()
        where !names.contains(key) {
            throw ServerError.invalid(
                key, "there is no field \(key); there are \(names.sorted().joined(separator: ", "))"
            )
        }
        let values = try decoder.container(keyedBy: CodingKeys.self)
        prompt = try values.decode(String.self, forKey: .prompt)
        negativePrompt = try values.decodeIfPresent(String.self, forKey: .negativePrompt)
        width = try values.decodeIfPresent(Int.self, forKey: .width)
        height = try values.decodeIfPresent(Int.self, forKey: .height)
        seed = try values.decodeIfPresent(UInt64.self, forKey: .seed)
        count = try values.decodeIfPresent(Int.self, forKey: .count)
        steps = try values.decodeIfPresent(Int.self, forKey: .steps)
        guidance = try values.decodeIfPresent(Float.self, forKey: .guidance)
        image = try values.decodeIfPresent(Data.self, forKey: .image)
        mask = try values.decodeIfPresent(Data.self, forKey: .mask)
        strength = try values.decodeIfPresent(Float.self, forKey: .strength)
        previews = try values.decodeIfPresent(Bool.self, forKey: .previews)
    }

    /// The request, within what the server allows.
    ///
    /// - Throws: `ServerError` that names the field, or `WuerstchenError`.
    func request(_ cascade: Cascade, _ settings: ServerSettings) throws -> GenerationRequest {
        var request = GenerationRequest(
            prompt, negativePrompt: negativePrompt ?? "", seed: seed ?? .random(in: 0..<1 << 32),
            count: count ?? 1, edit: try edit(settings))
        var size = try cascade.completed(request).size ?? cascade.defaultSize
        if width != nil || height != nil {
            size = ImageSize(
                width: width ?? size.width, height: height ?? size.height)
        }
        request.size = size
        request.stageC = try sampling(cascade, settings)
        try settings.check(request)
        return request
    }

    private func edit(_ settings: ServerSettings) throws -> ImageEdit? {
        guard let file = image else {
            if mask != nil { throw ServerError.invalid("mask", "a mask needs an image") }
            if strength != nil {
                throw ServerError.invalid("strength", "a strength needs an image")
            }
            return nil
        }
        let image = try settings.read("image", file) { try Image(pngData: $0) }
        let mask = try mask.map { file in
            try settings.read("mask", file) { try ImageMask(pngData: $0) }
        }
        // What is under a mask is usually drawn from nothing; a whole image is usually kept.
        return .redraw(image, strength: strength ?? (mask == nil ? 0.7 : 1), mask: mask)
    }

    /// How Stage C samples; nil for as it was made to.
    private func sampling(
        _ cascade: Cascade, _ settings: ServerSettings
    ) throws -> SamplingOptions? {
        let description = try cascade.stageC.description()
        if let steps, steps != description.defaultSampling.timesteps.count {
            guard (1...settings.maximumSteps).contains(steps) else {
                throw ServerError.invalid(
                    "steps", "steps is \(steps); it must be from 1 to \(settings.maximumSteps)")
            }
        }
        return try description.sampling(steps: steps, guidance: guidance)
    }
}

extension ServerSettings {
    /// Checks what is left of a request when it is put together.
    func check(_ request: GenerationRequest) throws {
        let bytes = request.prompt.utf8.count + request.negativePrompt.utf8.count
        guard bytes <= maximumPrompt else {
            throw ServerError.invalid(
                "prompt", "the prompts have \(bytes) bytes; this server takes \(maximumPrompt)")
        }
        guard (1...maximumImages).contains(request.count) else {
            throw ServerError.invalid(
                "count",
                "\(request.count) images; this server makes 1 to \(maximumImages) at once")
        }
        if let size = request.size, max(size.width, size.height) > maximumSide {
            throw ServerError.invalid(
                "size",
                "\(size.width)x\(size.height) pixels; this server makes images of up to "
                    + "\(maximumSide) a side")
        }
        try request.validate()
    }

    /// Reads a PNG file, unless its image takes far more memory than its bytes.
    func read<Value>(
        _ field: String, _ file: Data, _ decode: (Data) throws -> Value
    ) throws -> Value {
        // Width and height follow the signature and the head of the first chunk.
        let header = Array(file.prefix(24))
        func number(at offset: Int) -> Int {
            header[offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) }
        }
        if header.count == 24, max(number(at: 16), number(at: 20)) > maximumImageSide {
            throw ServerError.invalid(
                field,
                "the \(field) has \(number(at: 16))x\(number(at: 20)) pixels; this server takes up "
                    + "to \(maximumImageSide) a side")
        }
        do {
            return try decode(file)
        } catch let error as WuerstchenError {
            throw ServerError.invalid(field, error.message)
        }
    }
}
