public import Foundation

/// The tensors of a checkpoint's folder, whether in one file or in shards that an index lists.
public struct SafetensorsCheckpoint: Sendable {
    /// A tensor and the file it is in.
    public struct Tensor: Sendable {
        /// The file, which gives the tensor's bytes.
        public let file: Safetensors
        /// What the file's header says about the tensor.
        public let entry: Safetensors.Entry

        package init(file: Safetensors, entry: Safetensors.Entry) {
            self.file = file
            self.entry = entry
        }
    }

    /// The files, in the order of their names.
    public let files: [Safetensors]
    /// The tensors of all the files, by name.
    public let tensors: [String: Tensor]

    /// Opens the checkpoint in a folder.
    ///
    /// Without a variant, that is `<stem>.safetensors` or the shards listed by
    /// `<stem>.safetensors.index.json`, else the only variant that is there. With one, it is
    /// `<stem>.<variant>.safetensors` or the shards listed by
    /// `<stem>.safetensors.index.<variant>.json`. Where both a file and an index are there, the
    /// index counts for the stem `diffusion_pytorch_model`, as in diffusers, and the file for
    /// others, as in transformers.
    ///
    /// - Parameters:
    ///   - directory: The folder.
    ///   - stem: What the names of the files begin with, such as `diffusion_pytorch_model`.
    ///   - variant: The variant, such as `fp16`, or nil for the plain one.
    /// - Throws: ``WuerstchenError`` with the code `fileNotFound` if the folder, the checkpoint or
    ///   a shard is not there; `invalidRequest` if there are several variants and none is asked
    ///   for, or if the stem or variant contains a slash; `malformedFile` if the index and the
    ///   shards contradict each other or one of them is not in its format; `unreadableFile` if the
    ///   folder or a file cannot be read.
    public init(directory: URL, stem: String, variant: String? = nil) throws {
        let names = SafetensorsFileNames(directory: directory, stem: stem)
        switch try names.find(variant: variant) {
        case .file(let url):
            let file = try Safetensors(contentsOf: url)
            files = [file]
            tensors = file.entries.mapValues { Tensor(file: file, entry: $0) }
        case .index(let url):
            (files, tensors) = try Self.shards(listedBy: url, in: directory)
        }
    }

    /// Whether a folder has a variant's file or index.
    package static func isPresent(in directory: URL, stem: String, variant: String?) -> Bool {
        SafetensorsFileNames(directory: directory, stem: stem).isPresent(variant)
    }

    private static func shards(
        listedBy url: URL, in directory: URL
    ) throws -> ([Safetensors], [String: Tensor]) {
        let listed = try SafetensorsIndex(contentsOf: url).fileNames
        var files: [Safetensors] = []
        var tensors: [String: Tensor] = [:]
        for fileName in Set(listed.values).sorted() {
            let shard = directory.appendingPathComponent(fileName)
            guard FileManager.default.fileExists(atPath: shard.path) else {
                throw MissingFile.error(shard, "\(url.lastPathComponent) lists it as a shard")
            }
            let file = try Safetensors(contentsOf: shard)
            for (name, entry) in file.entries {
                if let other = tensors[name] {
                    throw Safetensors.malformed(
                        shard,
                        "the tensor \(Safetensors.quoted(name)) is in "
                            + "\(other.file.url.lastPathComponent) already; expected it once")
                }
                tensors[name] = Tensor(file: file, entry: entry)
            }
            files.append(file)
        }
        try check(tensors, against: listed, of: url)
        return (files, tensors)
    }

    private static func check(
        _ tensors: [String: Tensor], against listed: [String: String], of url: URL
    ) throws {
        for (name, fileName) in listed.sorted(by: { $0.key < $1.key }) {
            guard tensors[name]?.file.url.lastPathComponent == fileName else {
                throw Safetensors.malformed(
                    url,
                    "the tensor \(Safetensors.quoted(name)) is not in the shard "
                        + "\(Safetensors.quoted(fileName)), where the index expects it")
            }
        }
        // A surplus tensor means that the shards and the index are of different versions.
        if let surplus = tensors.keys.sorted().first(where: { listed[$0] == nil }) {
            throw Safetensors.malformed(
                url,
                "the index does not list the tensor \(Safetensors.quoted(surplus)), which is in the "
                    + "shard \(tensors[surplus]?.file.url.lastPathComponent ?? "")")
        }
    }
}
