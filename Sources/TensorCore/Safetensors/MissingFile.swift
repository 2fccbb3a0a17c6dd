package import Foundation

/// Why a file is not where it was looked for, as far as its folder shows.
package enum MissingFile {
    /// The error for a file that is not there.
    ///
    /// - Parameters:
    ///   - file: Where it was looked for.
    ///   - need: What it is needed for, as a clause; empty for none.
    /// - Returns: An error with code `fileNotFound`.
    package static func error(_ file: URL, _ need: String = "") -> WuerstchenError {
        WuerstchenError(
            .fileNotFound,
            "\(file.path) is not there\(need.isEmpty ? "" : "; \(need)")"
                + reason(for: [file.lastPathComponent], in: file.deletingLastPathComponent()))
    }

    /// What a folder shows about files that are not in it, as a clause that ends the message.
    package static func reason(for names: [String], in folder: URL) -> String {
        let manager = FileManager.default
        for name in names {
            let link = folder.appendingPathComponent(name, isDirectory: false).path
            if let target = try? manager.destinationOfSymbolicLink(atPath: link) {
                return
                    "; \(name) is a link to \(target), which is gone: download it again, and copy "
                    + "what the link leads to when you copy a cache"
            }
        }
        guard let others = try? manager.contentsOfDirectory(atPath: folder.path).sorted() else {
            return manager.fileExists(atPath: folder.path)
                ? "" : "; the folder \(folder.path) is not there: check the path or download it"
        }
        let unfinished = others + cached(in: folder)
        if let part = unfinished.first(where: { name in
            partial.contains { name.lowercased().hasSuffix($0) }
        }) {
            return "; there is \(part), which a download that was interrupted left: go on with it, "
                + "or download it again"
        }
        if let other = others.first(where: { name in
            foreign.contains { name.lowercased().hasSuffix($0) }
        }), names.contains(where: { $0.hasSuffix(".safetensors") }) {
            return "; there is \(other), but only safetensors are read: get the weights in that "
                + "format, or convert them with the Python package safetensors"
        }
        return "; check the path or download it"
    }

    /// What Hugging Face's client leaves of unfinished downloads below a folder it downloads to.
    private static func cached(in folder: URL) -> [String] {
        var places = [folder]
        for _ in 0..<3 { places.append(places[places.count - 1].deletingLastPathComponent()) }
        let name = folder.lastPathComponent
        return places.enumerated().flatMap { depth, place -> [String] in
            let cache = place.appendingPathComponent(".cache/huggingface/download")
            let folders = depth == 0 ? [cache] : [cache.appendingPathComponent(name)]
            return folders.flatMap {
                (try? FileManager.default.contentsOfDirectory(atPath: $0.path)) ?? []
            }
        }
    }

    /// How names end while a file is being downloaded.
    private static let partial = [
        ".incomplete", ".part", ".partial", ".crdownload", ".download", ".aria2", ".tmp",
    ]
    /// How the names of weights end that are not read.
    private static let foreign = [
        ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".gguf", ".ggml", ".h5", ".msgpack", ".onnx",
        ".npz",
    ]
}
