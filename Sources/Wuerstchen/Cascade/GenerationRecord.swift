public import Foundation
public import TensorCore

/// All that an image depends on, as its PNG file holds it: the request with everything filled in,
/// the weights by digest, and the kernels.
///
/// With the same weights ``request(image:mask:embeddings:)`` makes the same image bit for bit, on a
/// processor of the same kernels.
public struct GenerationRecord: Sendable, Hashable, Codable {
    /// What decoded the semantic latent.
    public enum Decoder: String, Sendable, Hashable, Codable, CaseIterable {
        /// Stages B and A.
        case stageB = "stage-b"
        /// The preview decoder.
        case preview
        /// One of another kind, which no record can make again.
        case other
    }

    /// The image that an edit starts from, or its mask.
    struct ImageDigest: Sendable, Hashable, Codable {
        let digest: String
        let size: ImageSize

        init(_ image: Image) {
            digest = hexadecimalDigest { $0.add(image.pixels) }
            size = image.size
        }
    }

    struct Edit: Sendable, Hashable, Codable {
        let image: ImageDigest
        let mask: ImageDigest?
        let stageCStrength: Float
        let stageBStrength: Float
        let seam: Int
    }

    /// What the image shows.
    public let prompt: String
    /// What guidance led away from.
    public let negativePrompt: String
    /// The size in pixels.
    public let size: ImageSize
    /// The image's own seed.
    public let seed: UInt64
    /// The image's own seed of Stage B, if it had one.
    public let stageBSeed: UInt64?
    /// How Stage C sampled.
    public let stageC: SamplingOptions
    /// How Stage B sampled, if it did.
    public let stageB: SamplingOptions?
    /// What decoded the semantic latent.
    public let decoder: Decoder
    /// The weights that made the image.
    public let weights: [WeightsRecord]
    /// The kernels that computed it, on which the last bits depend.
    public let kernels: String
    /// The checkpoint's name.
    public let checkpoint: String
    let edit: Edit?
    /// Nil as of records from before there were others than plain ones.
    let promptSyntax: PromptSyntax?
    /// The digest of embeddings in place of prompts.
    let embeddings: String?

    /// Whether it was made from embeddings.
    public var readsEmbeddings: Bool { embeddings != nil }
    /// Whether it was made from an image.
    public var startsFromImage: Bool { edit != nil }
    /// Whether that image had a mask.
    public var hasMask: Bool { edit?.mask != nil }

    /// The numbers that the networks were loaded with.
    public var precision: Precision? {
        weights.first { $0.precision != nil && !$0.part.hasPrefix(WeightsRecord.preview) }?
            .precision
    }

    /// The keyword of the record in a PNG file.
    static let keyword = "request"

    /// The record of an image of a request.
    init(_ request: GenerationRequest, image: Int, _ cascade: Cascade) throws {
        let full = try cascade.completed(request)
        let offset = UInt64(truncatingIfNeeded: image)
        prompt = full.prompt
        negativePrompt = full.negativePrompt
        size = full.size ?? cascade.defaultSize
        seed = full.seed &+ offset
        stageBSeed = full.stageBSeed.map { $0 &+ offset }
        stageC = try full.stageC ?? cascade.stageC.description().defaultSampling
        stageB = full.stageB
        edit = full.edit.map {
            Edit(
                image: ImageDigest($0.image), mask: $0.mask.map { ImageDigest($0.image) },
                stageCStrength: $0.stageCStrength, stageBStrength: $0.stageBStrength,
                seam: $0.seam)
        }
        promptSyntax = full.promptSyntax == .plain ? nil : full.promptSyntax
        embeddings = full.embeddings?.digest
        decoder =
            cascade.decoder is DiffusionDecoder
            ? .stageB : cascade.decoder is PreviewDecoder ? .preview : .other
        weights = try cascade.weights(for: full)
        kernels = KernelLevel.active.rawValue
        checkpoint = cascade.name
    }

    /// The record in a PNG file that this package wrote.
    ///
    /// - Parameter file: The file.
    /// - Throws: ``WuerstchenError`` with code `malformedFile` for a file without a record or with
    ///   a damaged one, and what reading the file throws.
    public init(contentsOf file: URL) throws {
        self = try Self.read(contentsOf: file).record
    }

    /// The record in an image's file, and the image.
    ///
    /// - Parameter file: The file.
    /// - Returns: The record and the image.
    /// - Throws: As ``init(contentsOf:)``.
    public static func read(
        contentsOf file: URL
    ) throws -> (record: GenerationRecord, image: Image) {
        let (image, text, _) = try Image.read(contentsOf: file)
        guard let text = text[keyword] else {
            throw WuerstchenError(
                .malformedFile,
                "\(file.path) has no record of how it was made; only images that text-to-image or "
                    + "the server wrote have one, and programs that change an image may lose it")
        }
        return (
            try decodeJSON(Self.self, Data(text.utf8), name: "the record in \(file.path)"), image
        )
    }

    /// The request that makes the image again.
    ///
    /// - Parameters:
    ///   - image: The image that it starts from, where it does.
    ///   - mask: That image's mask, where it has one.
    ///   - embeddings: The embeddings, where there were some.
    /// - Returns: The request.
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` when one of them is missing, not
    ///   wanted, or another than that of the record.
    public func request(
        image: Image? = nil, mask: ImageMask? = nil, embeddings: PromptEmbeddings? = nil
    ) throws -> GenerationRequest {
        func check(_ wanted: ImageDigest?, _ given: Image?, _ name: String) throws {
            guard wanted != given.map(ImageDigest.init) else { return }
            guard let wanted else {
                throw WuerstchenError(
                    .invalidRequest, "the record is of an image that was made without \(name)")
            }
            throw WuerstchenError(
                .invalidRequest,
                "the record is of an image that was made from \(name) of \(wanted.size) pixels "
                    + "with the digest \(wanted.digest); "
                    + (given.map { "this is one of \($0.size) with \(ImageDigest($0).digest)" }
                        ?? "give that too"))
        }
        try check(edit?.image, image, "an image")
        try check(edit?.mask, mask?.image, "a mask")
        guard self.embeddings == embeddings?.digest else {
            throw WuerstchenError(
                .invalidRequest,
                "the record is of an image that was made "
                    + (self.embeddings.map { "from embeddings with the digest \($0)" }
                        ?? "without embeddings")
                    + (embeddings.map { "; these have \($0.digest)" } ?? "; give those too"))
        }
        var request = GenerationRequest(
            prompt, negativePrompt: negativePrompt, size: size, seed: seed, stageC: stageC,
            stageB: stageB, stageBSeed: stageBSeed, promptSyntax: promptSyntax ?? .plain,
            embeddings: embeddings)
        if let edit, let image {
            request.edit = ImageEdit(
                image, stageCStrength: edit.stageCStrength, stageBStrength: edit.stageBStrength,
                mask: mask, seam: edit.seam)
        }
        try request.validate()
        return request
    }

    /// Refuses a cascade of other weights than those that made the image.
    ///
    /// - Parameters:
    ///   - cascade: The cascade.
    ///   - request: The request of ``request(image:mask:embeddings:)``.
    /// - Throws: ``WuerstchenError`` with code `incompatibleParameters` that names each part.
    public func requireWeights(of cascade: Cascade, for request: GenerationRequest) throws {
        let here = try cascade.weights(for: request)
        guard here != weights else { return }
        func list(_ records: [WeightsRecord], without others: [WeightsRecord]) -> String {
            let different = records.filter { !others.contains($0) }
            return different.isEmpty
                ? "none" : different.map(\.description).joined(separator: ", ")
        }
        throw WuerstchenError(
            .incompatibleParameters,
            "the image was made by \(checkpoint), and this is \(cascade.name) with other weights. "
                + "Only the image's: \(list(weights, without: here)). Only here: "
                + "\(list(here, without: weights))")
    }
}

extension Cascade {
    /// The record of an image of a request.
    ///
    /// - Parameters:
    ///   - request: The request.
    ///   - image: Which image of the request, from 0.
    /// - Returns: The record. Weights of parts that are from no checkpoint are not in it.
    /// - Throws: What reading the files of weights throws.
    public func record(of request: GenerationRequest, image: Int = 0) throws -> GenerationRecord {
        try GenerationRecord(request, image: image, self)
    }

    /// All about an image that goes into its PNG file: what people read, and a record that
    /// ``GenerationRecord/init(contentsOf:)`` reads.
    ///
    /// - Parameters:
    ///   - request: The request.
    ///   - image: Which image of the request, from 0.
    /// - Returns: Keywords and their text, as ``Image/write(to:text:)`` takes them. The record is
    ///   left out where it takes more than the mebibyte that a text can have.
    /// - Throws: As ``record(of:image:)``.
    public func metadata(
        of request: GenerationRequest, image: Int = 0
    ) throws -> [(key: String, value: String)] {
        let record = try record(of: request, image: image)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let json = String(decoding: try encoder.encode(record), as: UTF8.self)
        return try completed(request).metadata(image: image, checkpoint: name)
            + (record.precision.map { [("precision", $0.rawValue)] } ?? [])
            + [("weights", record.weights.map(\.description).joined(separator: "\n"))]
            + (json.utf8.count <= PNGText.maximumLength ? [(GenerationRecord.keyword, json)] : [])
    }

    /// The weights that a request's images depend on, from text to pixels.
    func weights(for request: GenerationRequest) throws -> [WeightsRecord] {
        var found: [WeightsRecord] = []
        func add<Value>(_ part: Part<Value>?, _ name: String) throws {
            for record in try part?.weights?.records(as: name) ?? []
            where !found.contains(record) {
                found.append(record)
            }
        }
        let edit = request.edit
        if let edit, decoder.readsImages, edit.stageBStrength == 0 {
            try add((decoder as? DiffusionDecoder)?.stageA, "Stage A")
            return found
        }
        if edit?.keepsContent == true { try add(compressor, "semantic compressor") }
        if edit?.stageCStrength != 0 {
            if request.embeddings == nil { try add(textEncoder, "text encoder") }
            try add(stageC, "Stage C")
        }
        if let decoder = decoder as? DiffusionDecoder {
            if request.embeddings == nil {
                try add(decoder.textEncoder, "text encoder of Stage B")
            }
            try add(decoder.stageB, "Stage B")
            try add(decoder.stageA, "Stage A")
        } else if let decoder = decoder as? PreviewDecoder {
            found += try decoder.weights?.records(as: WeightsRecord.preview) ?? []
        }
        return found
    }
}

extension WeightsRecord {
    fileprivate static let preview = "preview decoder"
}
