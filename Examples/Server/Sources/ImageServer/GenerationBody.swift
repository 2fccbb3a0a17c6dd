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

    /// The work, within what the server allows and the cascade can do.
    ///
    /// - Throws: `ServerError` that names the field, or `WuerstchenError`.
    func work(_ cascade: Cascade, _ settings: ServerSettings) throws -> ImageWork {
        var request = GenerationRequest(
            prompt, negativePrompt: negativePrompt ?? "", seed: seed ?? .random(in: 0..<1 << 32),
            count: count ?? 1)
        try settings.check(request, count: "count")
        let edit = try self.edit(settings)
        request.edit = edit
        let own = edit == nil ? nil : try cascade.completed(request).size
        var size = own ?? settings.defaultSize(of: cascade)
        size = ImageSize(width: width ?? size.width, height: height ?? size.height)
        try settings.check(size, cascade, width: "width", height: "height")
        request.size = size
        request.stageC = try sampling(cascade, settings)
        guard let edit else {
            try cascade.validate(request)
            return try ImageWork(request, cascade, previews: previews ?? true)
        }
        // As if nothing were kept of the image, so that what is wrong is not its strength.
        try ServerError.naming(edit.mask == nil ? "image" : "mask") {
            try cascade.validate(request)
        }
        // What is under a mask is usually drawn from nothing; a whole image is usually kept.
        let strength = self.strength ?? (edit.mask == nil ? 0.7 : 1)
        request.edit = .redraw(edit.image, strength: strength, mask: edit.mask)
        let work = try ImageWork(request, cascade, previews: previews ?? true)
        try ServerError.naming("strength") { try cascade.validate(work.request) }
        return work
    }

    private func edit(_ settings: ServerSettings) throws -> ImageEdit? {
        guard let file = image else {
            if mask != nil { throw ServerError.invalid("mask", "a mask needs an image") }
            if strength != nil {
                throw ServerError.invalid("strength", "a strength needs an image")
            }
            return nil
        }
        let side = settings.maximumImageSide
        let image = try ServerError.naming("image") {
            try Image(pngData: file, maximumSide: side)
        }
        let mask = try ServerError.naming("mask") {
            try self.mask.map { try ImageMask(pngData: $0, maximumSide: side) }
        }
        return .redraw(image, strength: 1, mask: mask)
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
        // Each by itself, to name the one that is wrong.
        func options(_ field: String, steps: Int? = nil, guidance: Float? = nil) throws {
            try ServerError.naming(field) {
                guard let options = try description.sampling(steps: steps, guidance: guidance)
                else { return }
                try description.validate(options)
            }
        }
        try options("steps", steps: steps)
        try options("guidance", guidance: guidance)
        return try description.sampling(steps: steps, guidance: guidance)
    }
}

extension ServerSettings {
    /// The size of images that are asked for without one.
    func defaultSize(of cascade: Cascade) -> ImageSize {
        ImageSize(
            width: min(cascade.defaultSize.width, maximumSide),
            height: min(cascade.defaultSize.height, maximumSide))
    }

    /// Checks prompts and number of a request.
    ///
    /// - Parameters:
    ///   - request: The request.
    ///   - count: The field with the number of images.
    /// - Throws: `ServerError` that names the field.
    func check(_ request: GenerationRequest, count: String) throws {
        for (field, text) in [
            ("prompt", request.prompt), ("negative_prompt", request.negativePrompt),
        ] where text.utf8.count > maximumPrompt {
            throw ServerError.invalid(
                field, "\(field) has \(text.utf8.count) bytes; this server takes \(maximumPrompt)")
        }
        guard (1...maximumImages).contains(request.count) else {
            throw ServerError.invalid(
                count,
                "\(count) is \(request.count); this server makes 1 to \(maximumImages) at once")
        }
    }

    /// Checks the size of images that are made.
    ///
    /// - Parameters:
    ///   - size: The size.
    ///   - cascade: What makes them.
    ///   - width: The field with the width.
    ///   - height: The field with the height.
    /// - Throws: `ServerError` that names the field.
    func check(_ size: ImageSize, _ cascade: Cascade, width: String, height: String) throws {
        guard max(size.width, size.height) <= maximumSide else {
            throw ServerError.invalid(
                size.width > maximumSide ? width : height,
                "\(size) pixels; this server makes images of up to \(maximumSide) a side")
        }
        let square = ImageSize(width: size.width, height: size.width)
        let isWide = (try? cascade.grid(for: square)) != nil
        try ServerError.naming(isWide ? height : width) { _ = try cascade.grid(for: size) }
    }
}
