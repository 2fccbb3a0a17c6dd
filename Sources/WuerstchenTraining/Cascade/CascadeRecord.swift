internal import Foundation
internal import Wuerstchen

/// What the training of a cascade was begun with, and how far it is: `cascade.json` in its folder.
struct CascadeRecord: Codable {
    /// The sizes of the networks, Stage A with the unit of its latents when that is known.
    var architecture: CascadeArchitecture
    /// What everything random depends on.
    var seed: UInt64
    /// The steps and times of the pieces.
    var schedule: CascadeSchedule
    /// What the pieces began with; nil for nothing.
    var start: Start?
    /// What all pieces depend on, beside the networks; nil where an older file does not say.
    var settings: TrainingSettings?

    /// A checkpoint that a training begins with.
    struct Start: Codable, Equatable {
        /// Where it was when the training began.
        let path: String
        /// What tells it from others.
        let fingerprint: String

        init(_ start: CascadeStart) throws {
            path = start.checkpoint.standardizedFileURL.path
            fingerprint = try start.fingerprint()
        }
    }

    private static func file(in folder: URL) -> URL {
        folder.appendingPathComponent("cascade.json")
    }

    /// Whether there is a record in a folder.
    static func isThere(in folder: URL) -> Bool {
        FileManager.default.fileExists(atPath: file(in: folder).path)
    }

    /// The record in a folder; nil where no training has begun.
    static func read(in folder: URL) throws -> CascadeRecord? {
        guard isThere(in: folder) else { return nil }
        return try decodeJSON(CascadeRecord.self, from: file(in: folder))
    }

    func write(in folder: URL) throws { try encodeJSON(self, to: Self.file(in: folder)) }
}

extension CascadeRecord {
    /// Refuses to go on with another checkpoint or other pieces than a training was begun with.
    func requireStart(
        _ start: CascadeStart?, _ pieces: Set<CascadePiece>, in folder: URL
    ) throws {
        let fingerprint = try start?.fingerprint()
        guard fingerprint == self.start?.fingerprint else {
            throw WuerstchenError(
                .invalidRequest,
                "\(folder.path) was begun "
                    + (self.start.map { "with the checkpoint that was \($0.path)" }
                        ?? "without a checkpoint")
                    + "; go on with the same (--start), or choose another folder")
        }
        guard pieces == Set(schedule.pieces) else {
            throw WuerstchenError(
                .invalidRequest,
                "\(folder.path) was begun to train "
                    + schedule.pieces.map(\.title).formatted(.list(type: .and))
                    + "; go on with the same, or choose another folder")
        }
    }

    /// Refuses to go on with other images or settings than a training was begun with: pieces that
    /// are done would stay those of the first.
    func require(_ asked: TrainingSettings, in folder: URL) throws {
        let differences = settings?.differences(from: asked) ?? []
        guard differences.isEmpty else {
            throw WuerstchenError(
                .invalidRequest,
                "\(folder.path) was begun with \(differences.joined(separator: ", ")); go on as it "
                    + "was begun, or choose another folder")
        }
    }

    /// The checkpoint that a training was begun with, where it was; nil for none.
    ///
    /// - Throws: `WuerstchenError` when it is not there or is another one.
    func opened(in pieces: TrainedPieces) throws -> CascadeStart? {
        guard let start else { return nil }
        var result = try CascadeStart(URL(fileURLWithPath: start.path), for: [])
        guard try result.fingerprint() == start.fingerprint else {
            throw WuerstchenError(
                .incompatibleParameters,
                "\(start.path) is not what it was when \(pieces.folder.path) was begun with it; put "
                    + "that checkpoint back there")
        }
        var pieces = pieces
        pieces.start = result
        try result.priorText.learn([], in: pieces.tokenizer)
        try result.decoderText.learn([], in: pieces.decoderTokenizer)
        return result
    }
}

extension CascadeTraining.Options {
    private var standardRateFactor: Float { start == nil ? 1 : 0.1 }

    /// The share of each piece's learning rate.
    var usedRateFactor: Float { rateFactor ?? standardRateFactor }

    /// Refuses a share of the learning rates that makes no sense.
    func requireRateFactor() throws {
        guard usedRateFactor > 0, usedRateFactor <= 10 else {
            throw WuerstchenError(
                .invalidRequest,
                "a share of \(usedRateFactor) of the learning rates; it must be positive and at most "
                    + "10")
        }
    }

    /// What all pieces of a training on some images depend on.
    func settings(of images: ImageFolder) throws -> TrainingSettings {
        var result = TrainingSettings()
        result.add(images, at: "images")
        result.add(precision, at: "precision")
        result.add(batchSize.map { "\($0)" } ?? "each piece's own", at: "batchSize")
        if usedRateFactor != standardRateFactor { result.add(usedRateFactor, at: "rateFactor") }
        guard let keep else { return result }
        result.add(keep.share, at: "keep.share")
        switch keep.source {
        case .folder(let url):
            result.add(try ImageFolder(url).fingerprint, at: "keep.namesSizesAndCaptions")
        case .drawn(let captions, let count):
            result.add(count, at: "keep.count")
            result.add(captions, at: "keep.captions")
        }
        return result
    }

    /// The pieces that are trained.
    func trained() throws -> Set<CascadePiece> {
        guard let start else {
            guard keep == nil else {
                throw WuerstchenError(
                    .invalidRequest,
                    "there is nothing to keep in mind where training begins from nothing; name a "
                        + "checkpoint to begin with (--start)")
            }
            guard pieces == nil || pieces == Set(CascadePiece.allCases) else {
                throw WuerstchenError(
                    .invalidRequest,
                    "only some pieces of a cascade can be trained when there is a checkpoint that "
                        + "the others are from (--start)")
            }
            return Set(CascadePiece.allCases)
        }
        try keep?.validate(for: start)
        guard tokenizer == nil else {
            throw WuerstchenError(
                .invalidRequest,
                "a checkpoint to begin with has a tokenizer, and its text encoders read no other; "
                    + "leave out the tokenizer")
        }
        let possible = Set(CascadePiece.allCases).subtracting([.text])
        let result = pieces ?? possible
        guard !result.isEmpty, result.isSubset(of: possible) else {
            throw WuerstchenError(
                .invalidRequest,
                "of a checkpoint to begin with, "
                    + CascadePiece.allCases.filter(possible.contains).map(\.rawValue)
                    .formatted(.list(type: .or))
                    + " can be trained; the text encoder learns with Stage C")
        }
        return result
    }
}
