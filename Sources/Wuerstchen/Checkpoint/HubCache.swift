internal import Foundation
internal import TensorCore

/// Folders in the cache of the model hub's client: `models--ORG--NAME`, in it `snapshots` with a
/// folder of links for each revision, and `refs/main` with the name of one of them.
enum HubCache {
    /// What was found for a folder.
    enum Finding {
        /// One folder with everything in it, or a part of it.
        case folder(URL)
        /// The folders of the two pipelines.
        case pipelines(prior: URL, decoder: URL)
    }

    /// What is meant by a folder: itself, if it is none of the cache.
    ///
    /// - Throws: ``WuerstchenError`` with code `fileNotFound` where a download is incomplete, and
    ///   `invalidRequest` where there are several models to choose from.
    static func find(_ given: URL) throws -> Finding {
        let directory = given.standardizedFileURL
        if let model = model(ofSnapshot: directory) {
            return try completed(directory, of: model)
        }
        if isModel(directory) { return try completed(snapshot(of: directory), of: directory) }
        let models = names(in: directory).map { directory.appendingPathComponent($0) }
            .filter(isModel)
        guard !models.isEmpty else { return .folder(given) }
        // Other models have their place in a cache too, however little of them is there.
        let found = models.compactMap { model in
            try? (model: model, kind: kind(snapshot(of: model)), snapshot: snapshot(of: model))
        }
        let (priors, decoders) = (
            found.filter { $0.kind == .prior }, found.filter { $0.kind == .decoder }
        )
        if priors.count == 1, decoders.count == 1 {
            return .pipelines(prior: priors[0].snapshot, decoder: decoders[0].snapshot)
        }
        let whole = found.filter { $0.kind == .whole }
        if priors.isEmpty, decoders.isEmpty, whole.count == 1 { return .folder(whole[0].snapshot) }
        let candidates = (priors + decoders + whole).map(\.model.lastPathComponent)
        guard !candidates.isEmpty else {
            throw WuerstchenError(
                .fileNotFound,
                "\(directory.path) is a cache without Würstchen: none of "
                    + models.map(\.lastPathComponent).joined(separator: ", ")
                    + " is a pipeline of it; download warp-ai/wuerstchen-prior and "
                    + "warp-ai/wuerstchen")
        }
        throw WuerstchenError(
            .invalidRequest,
            "\(directory.path) has \(candidates.joined(separator: ", ")), where a prior and a decoder "
                + "were expected; name the folder of one model, and the other is found beside it")
    }

    /// What a snapshot is called after: `ORG/NAME`; nil for other folders.
    static func name(_ folder: URL) -> String? {
        let model = model(ofSnapshot: folder) ?? folder
        return isModel(model) ? name(ofModel: model.lastPathComponent) : nil
    }

    private static func name(ofModel folder: String) -> String {
        String(folder.dropFirst(prefix.count)).replacing("--", with: "/")
    }

    /// The folder of the revision that a model's folder has.
    static func snapshot(of model: URL) throws -> URL {
        let snapshots = model.appendingPathComponent("snapshots")
        let revisions = names(in: snapshots)
        let reference = model.appendingPathComponent("refs/main")
        let main = (try? String(contentsOf: reference, encoding: .utf8))?
            .trimmingCharacters(in: .whitespacesAndNewlines)
        if let main {
            guard revisions.contains(main) else {
                throw WuerstchenError(
                    .fileNotFound,
                    "\(model.path) has no snapshot \(main), which refs/main names; download the "
                        + "model again")
            }
            return snapshots.appendingPathComponent(main)
        }
        guard revisions.count == 1 else {
            throw WuerstchenError(
                .fileNotFound,
                revisions.isEmpty
                    ? "\(model.path) has no snapshots; download the model again"
                    : "\(model.path) has several snapshots and no refs/main; name one of them, such as "
                        + snapshots.appendingPathComponent(revisions[0]).path)
        }
        return snapshots.appendingPathComponent(revisions[0])
    }

    static func isModel(_ folder: URL) -> Bool {
        folder.lastPathComponent.hasPrefix(prefix)
            && FileManager.default.fileExists(
                atPath: folder.appendingPathComponent("snapshots").path)
    }

    // MARK: -

    private static let prefix = "models--"

    private enum Kind { case prior, decoder, whole, other }

    /// The model that a folder is a snapshot of.
    private static func model(ofSnapshot folder: URL) -> URL? {
        let snapshots = folder.standardizedFileURL.deletingLastPathComponent()
        let model = snapshots.deletingLastPathComponent()
        return snapshots.lastPathComponent == "snapshots" && isModel(model) ? model : nil
    }

    /// - Throws: ``WuerstchenError`` where a link leads nowhere.
    private static func kind(_ snapshot: URL) throws -> Kind {
        struct Index: Decodable {
            let className: String?

            enum CodingKeys: String, CodingKey {
                case className = "_class_name"
            }
        }
        let file = snapshot.appendingPathComponent(CheckpointLayout.published.index)
        let index = try readSmallFile(file).flatMap {
            try? decodeJSON(Index.self, $0, name: file.path)
        }
        switch index?.className {
        case "WuerstchenPriorPipeline": return .prior
        case "WuerstchenDecoderPipeline": return .decoder
        case "WuerstchenCombinedPipeline": return .whole
        default: return CheckpointPlaces.isWhole(snapshot) ? .whole : .other
        }
    }

    /// A snapshot with the other pipeline, which lies in a model's folder beside its own.
    private static func completed(_ snapshot: URL, of model: URL) throws -> Finding {
        let kind = try kind(snapshot)
        guard kind == .prior || kind == .decoder else { return .folder(snapshot) }
        let cache = model.deletingLastPathComponent()
        let own = model.lastPathComponent
        let suffix = "-prior"
        let wanted: Kind = kind == .prior ? .decoder : .prior
        let twin =
            kind == .prior && own.hasSuffix(suffix)
            ? String(own.dropLast(suffix.count)) : own + (kind == .decoder ? suffix : "")
        // A finetuned prior has the name of its own and takes the decoder that there is.
        let others = names(in: cache).sorted { ($0 == twin ? 0 : 1, $0) < ($1 == twin ? 0 : 1, $1) }
            .map { cache.appendingPathComponent($0) }.filter(isModel)
        let fitting = others.filter { other in
            (try? self.kind(self.snapshot(of: other))) == wanted
        }
        guard let other = fitting.first, other.lastPathComponent == twin || fitting.count == 1
        else {
            throw WuerstchenError(
                .fileNotFound,
                "\(model.path) is a \(kind == .prior ? "prior" : "decoder") alone, and "
                    + (fitting.isEmpty
                        ? "no \(wanted == .prior ? "prior" : "decoder") lies beside it: download "
                            + "\(name(ofModel: twin)) too"
                        : "several fit it: "
                            + fitting.map(\.lastPathComponent).joined(separator: ", ")))
        }
        let second = try self.snapshot(of: other)
        return kind == .prior
            ? .pipelines(prior: snapshot, decoder: second)
            : .pipelines(prior: second, decoder: snapshot)
    }

    private static func names(in folder: URL) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted()
    }
}
