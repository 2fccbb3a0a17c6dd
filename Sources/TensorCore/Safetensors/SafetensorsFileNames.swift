import Foundation

/// The naming scheme of checkpoints on the model hub.
struct SafetensorsFileNames {
    enum Location {
        case file(URL)
        case index(URL)
    }

    let directory: URL
    let stem: String

    /// Whether a name stays in its folder, on any system.
    static func isFileName(_ name: String) -> Bool {
        let separators: Set<Unicode.Scalar> = ["/", "\\", "\0"]
        return !["", ".", ".."].contains(name) && separators.isDisjoint(with: name.unicodeScalars)
    }

    /// The place of a variant's tensors, or, for none, of the best that is there.
    func find(variant: String?) throws -> Location {
        for part in [stem, variant ?? stem] where !Self.isFileName(part) {
            throw WuerstchenError(
                .invalidRequest,
                "\(Safetensors.quoted(part)) cannot be part of a file's name in "
                    + "\(directory.path); give a stem or variant such as \"model\" or \"fp16\"")
        }
        if let location = location(variant) { return location }
        let others = try variants()
        guard variant == nil, let only = others.first else {
            throw missing(variant, others)
        }
        guard others.count == 1 else {
            throw WuerstchenError(
                .invalidRequest,
                "\(directory.path) has the variants \(others.joined(separator: ", ")) of "
                    + "\(Safetensors.quoted(stem)) and no plain one; ask for one of them")
        }
        guard let location = location(only) else { throw missing(only, others) }
        return location
    }

    /// Which of the two counts where one is left from before the other came: the library that
    /// writes files of this stem takes the index (diffusers) or the single file (transformers).
    private var prefersIndex: Bool { stem == "diffusion_pytorch_model" }

    private func fileName(_ variant: String?) -> String {
        variant.map { "\(stem).\($0).safetensors" } ?? "\(stem).safetensors"
    }

    private func indexName(_ variant: String?) -> String {
        "\(stem).safetensors.index.\(variant.map { "\($0)." } ?? "")json"
    }

    /// Whether a variant's file or index is there.
    func isPresent(_ variant: String?) -> Bool {
        Self.isFileName(variant ?? stem) && location(variant) != nil
    }

    private func location(_ variant: String?) -> Location? {
        let file = directory.appendingPathComponent(fileName(variant))
        let index = directory.appendingPathComponent(indexName(variant))
        let isFile = FileManager.default.fileExists(atPath: file.path)
        let isIndex = FileManager.default.fileExists(atPath: index.path)
        if isFile, isIndex { return prefersIndex ? .index(index) : .file(file) }
        return isFile ? .file(file) : isIndex ? .index(index) : nil
    }

    private func variants() throws -> [String] {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
        } catch {
            guard FileManager.default.fileExists(atPath: directory.path) else {
                throw WuerstchenError(
                    .fileNotFound,
                    "the folder \(directory.path) is not there; check the path or download it")
            }
            throw WuerstchenError(
                .unreadableFile,
                "\(directory.path) cannot be listed; check that it is a folder and may be read",
                underlying: error)
        }
        return Set(names.compactMap(variant)).sorted()
    }

    private func variant(of name: String) -> String? {
        let schemes = [("\(stem).", ".safetensors"), ("\(stem).safetensors.index.", ".json")]
        for (prefix, suffix) in schemes where name.hasPrefix(prefix) && name.hasSuffix(suffix) {
            let variant = name.dropFirst(prefix.count).dropLast(suffix.count)
            // Shards have a dash after the variant and are found by their index alone.
            let isVariant = variant.allSatisfy { $0.isLetter || $0.isNumber || $0 == "_" }
            if !variant.isEmpty, isVariant { return String(variant) }
        }
        return nil
    }

    private func missing(_ variant: String?, _ others: [String]) -> WuerstchenError {
        let there =
            others.isEmpty ? "" : " (there are the variants \(others.joined(separator: ", ")))"
        return WuerstchenError(
            .fileNotFound,
            "\(directory.path) has neither \(fileName(variant)) nor \(indexName(variant))\(there)"
                + MissingFile.reason(
                    for: [fileName(variant), indexName(variant)], in: directory))
    }
}
