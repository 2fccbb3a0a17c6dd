internal import Foundation
internal import TensorCore
internal import WuerstchenNN

/// Where the parts of a checkpoint lie, in any of the layouts that people have them in:
///
/// - two folders `wuerstchen-prior` and `wuerstchen`, each a pipeline as diffusers saves it;
/// - one folder, as diffusers saves the combined pipeline: the decoder's parts, and the prior's
///   with `prior_` in front of their names;
/// - the original repository's files in place of the folders of networks, recognised by their keys;
/// - folders of the model hub's cache, which hold any of these.
struct CheckpointPlaces {
    /// A pipeline's folder, and the places of parts that are not where diffusers puts them.
    struct Pipeline {
        let url: URL
        var parts: [String: URL] = [:]
        /// Whether its index may be missing: the original repository has none.
        var isOriginal = false
    }

    let prior: Pipeline
    let decoder: Pipeline
    /// What the checkpoint is called.
    let name: String
    /// Where previewer and compressor are looked for.
    private let folders: [URL]
    /// The original file of Stage B, which has the compressor in it.
    private let originals: [String: URL]

    init(_ directory: URL) throws {
        let layout = CheckpointLayout.published
        var isFolder = ObjCBool(false)
        guard FileManager.default.fileExists(atPath: directory.path, isDirectory: &isFolder) else {
            throw MissingFile.error(directory, "a checkpoint is a folder")
        }
        guard isFolder.boolValue else {
            throw WuerstchenError(
                .invalidRequest,
                "\(directory.path) is a file, and a checkpoint is a folder; name the one that it is "
                    + "in, or its networks one by one")
        }
        name =
            HubCache.name(directory)
            ?? directory.standardizedFileURL.lastPathComponent
        switch try HubCache.find(directory) {
        case .pipelines(let prior, let decoder):
            (self.prior, self.decoder) = (Pipeline(url: prior), Pipeline(url: decoder))
            (folders, originals) = ([directory, decoder, prior], [:])
        case .folder(let folder):
            folders = folder == directory ? [folder] : [directory, folder]
            let originals = try Self.isComplete(folder) ? [:] : Self.originals(in: folder)
            self.originals = originals
            let isCombined = Self.isCombined(folder)
            func pipeline(_ name: String, _ prefix: String, _ networks: [String]) throws -> Pipeline
            {
                let named = folder.appendingPathComponent(name)
                let isFlat = !Self.exists(named) && (isCombined || !originals.isEmpty)
                // A link may lead to a model's folder in a cache.
                let linked = named.resolvingSymlinksInPath()
                let own = HubCache.isModel(linked) ? try HubCache.snapshot(of: linked) : named
                var result = Pipeline(url: isFlat ? folder : own)
                if isFlat, !prefix.isEmpty {
                    for part in networks + [
                        layout.priorTextEncoder.folder, layout.tokenizer, layout.scheduler,
                    ] {
                        result.parts[part] = folder.appendingPathComponent(prefix + part)
                    }
                }
                for network in networks {
                    let place = result.parts[network] ?? result.url.appendingPathComponent(network)
                    guard !Self.exists(place), let file = originals[network] else { continue }
                    result.parts[network] = file
                    result.isOriginal = true
                }
                return result
            }
            prior = try pipeline(layout.prior, Self.priorPrefix, [layout.stageC.folder])
            decoder = try pipeline(
                layout.decoder, "", [layout.stageB.folder, layout.stageA.folder])
        }
    }

    /// What is in front of the names of the prior's parts in the combined pipeline.
    static let priorPrefix = "prior_"

    /// Whether a folder has both pipelines in some way.
    static func isWhole(_ folder: URL) -> Bool {
        let layout = CheckpointLayout.published
        return isCombined(folder)
            || [layout.prior, layout.decoder].contains {
                exists(folder.appendingPathComponent($0))
            } || !((try? originals(in: folder)) ?? [:]).isEmpty
    }

    var previewFile: URL? {
        folders.lazy.compactMap { CheckpointLayout.published.previewFile(in: $0) }.first
    }

    /// The semantic compressor's parameters: a file of theirs, or a part of an original Stage B.
    func compressor() throws -> CheckpointParameters? {
        let layout = CheckpointLayout.published
        if let file = folders.lazy.compactMap({ layout.compressorFile(in: $0) }).first {
            return try CheckpointParameters(contentsOf: file)
        }
        return try originals[layout.stageB.folder].flatMap {
            try CheckpointParameters(contentsOf: $0).compressor
        }
    }

    /// The original repository's files in a folder, by the networks' folders in the published
    /// layout.
    private static func originals(in folder: URL) throws -> [String: URL] {
        let layout = CheckpointLayout.published
        let others = layout.compressors + layout.previews
        let kinds: [(String, [String])] = [
            (layout.stageC.folder, StageC.Configuration.telling),
            (layout.stageB.folder, StageB.Configuration.telling),
            (layout.stageA.folder, StageA.Configuration.telling),
        ]
        var result: [String: URL] = [:]
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        for name in names.sorted()
        where name.hasSuffix(".safetensors") && !others.contains(name) {
            let file = folder.appendingPathComponent(name)
            let keys = try CheckpointParameters(contentsOf: file).withPublishedNames.names ?? []
            for (network, telling) in kinds where telling.allSatisfy(keys.contains) {
                if let other = result[network] {
                    throw WuerstchenError(
                        .invalidRequest,
                        "\(file.path) and \(other.lastPathComponent) both hold a "
                            + "\(network); leave the one there that is meant")
                }
                result[network] = file
            }
        }
        return result
    }

    /// Whether a folder has all networks where diffusers puts them, so that no file in it need be
    /// looked into.
    private static func isComplete(_ folder: URL) -> Bool {
        let layout = CheckpointLayout.published
        return [layout.stageC, layout.stageB, layout.stageA].allSatisfy {
            exists(folder.appendingPathComponent($0.path))
        }
    }

    private static func isCombined(_ folder: URL) -> Bool {
        exists(
            folder.appendingPathComponent(priorPrefix + CheckpointLayout.published.stageC.folder))
    }

    private static func exists(_ url: URL) -> Bool {
        FileManager.default.fileExists(atPath: url.path)
    }
}
