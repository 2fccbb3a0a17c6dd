public import Foundation
public import TensorCore
public import WuerstchenNN

/// The folder of a stage by itself, such as a student that was distilled from a checkpoint's: its
/// `config.json`, and its weights in one of two files.
///
/// `diffusion_pytorch_model.safetensors` holds all weights. `differences.safetensors` holds those
/// that differ from another stage's, the base. In the metadata of either is the fingerprint of the
/// base, if the stage is a student, and of the text encoder that the stage was trained beside, so
/// that it is not used with others.
public struct StudentFolder: Sendable, Hashable {
    /// The folder.
    public let url: URL
    static let differences = "differences"
    private static let baseKey = "base"
    private static let textEncodersKey = "text_encoders"

    /// A folder, which need not be there to be written.
    public init(_ url: URL) {
        self.url = url
    }

    private var differencesFile: URL {
        url.appendingPathComponent("\(Self.differences).safetensors")
    }

    private var weightsFile: URL {
        let stem = CheckpointLayout.published.stageC.stem
        return holdsDifferences
            ? differencesFile : url.appendingPathComponent("\(stem).safetensors")
    }

    /// Whether the folder has only what differs from a base.
    public var holdsDifferences: Bool {
        FileManager.default.fileExists(atPath: differencesFile.path)
    }

    /// The stage's configuration.
    ///
    /// - Throws: ``WuerstchenError`` that names the file and the field at fault.
    public func configuration<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
        try decodeJSON(
            type, from: url.appendingPathComponent(CheckpointLayout.published.configuration))
    }

    /// The stage's parameters: all of them, or the differences laid over the base's.
    ///
    /// - Parameter base: The folder of the stage that differences are from; not read for others.
    /// - Returns: The parameters.
    /// - Throws: ``WuerstchenError`` when weights are missing or damaged, or with code
    ///   `incompatibleParameters` when the stage is a student of another base.
    public func parameters(over base: URL) throws -> CheckpointParameters {
        let stem = CheckpointLayout.published.stageC.stem
        let noted = try metadata()[Self.baseKey]
        // A student that became a checkpoint's own stage is its own base.
        let isBase = url.standardizedFileURL.path == base.standardizedFileURL.path
        if holdsDifferences || (noted != nil && !isBase) {
            let known = try WeightsOrigin.fingerprints(of: base)
            guard let noted, known.contains(noted) else {
                throw WuerstchenError(
                    .incompatibleParameters,
                    "\(weightsFile.path) is a student of other weights (\(noted ?? "unknown")) than "
                        + "those in \(base.path) (\(known.joined(separator: ", converted from "))); "
                        + "use it with the checkpoint that it was made from")
            }
        }
        guard holdsDifferences else {
            return try CheckpointParameters(directory: url, stem: stem)
        }
        return try CheckpointParameters(contentsOf: differencesFile)
            .merging(over: CheckpointParameters(directory: base, stem: stem))
    }

    /// What the file of weights says of itself; nothing if there is no single one.
    private func metadata() throws -> [String: String] {
        guard FileManager.default.fileExists(atPath: weightsFile.path) else { return [:] }
        return try Safetensors(contentsOf: weightsFile).metadata
    }

    /// Refuses a stage that was trained beside another text encoder, such as one that learnt along.
    ///
    /// - Parameter folder: The text encoder's folder.
    /// - Throws: ``WuerstchenError`` with code `incompatibleParameters`.
    func requireTextEncoder(_ folder: URL) throws {
        guard let noted = try metadata()[Self.textEncodersKey] else { return }
        let known = try WeightsOrigin.fingerprints(of: folder)
        guard noted.split(separator: ",").contains(where: { known.contains(String($0)) }) else {
            throw WuerstchenError(
                .incompatibleParameters,
                "\(url.path) was trained beside another text encoder (\(noted)) than the one in "
                    + "\(folder.path) (\(known.joined(separator: ", converted from "))); use the "
                    + "checkpoint that both were exported to")
        }
    }

    /// What is noted beside the weights of a stage that was trained beside a text encoder.
    ///
    /// - Parameter folders: Where the encoder lies, which may be in several places and types.
    /// - Returns: Metadata for the file of weights.
    /// - Throws: What reading the weights throws.
    package static func metadata(textEncoders folders: [URL]) throws -> [String: String] {
        guard !folders.isEmpty else { return [:] }
        return [
            textEncodersKey: try Set(folders.map { try weightsFingerprint(of: $0) }).sorted()
                .joined(separator: ",")
        ]
    }

    /// Writes a stage. Weights that were written to the folder before are replaced, or removed if
    /// they were in the other file.
    ///
    /// - Parameters:
    ///   - parameters: All of its parameters under their published names.
    ///   - configuration: The architecture's numbers.
    ///   - base: The folder of the checkpoint's own stage that a student will stand in for, which
    ///     is noted; nil for a stage that is nobody's student.
    ///   - storesDifferences: Whether to store only what differs from the base; both are compared
    ///     as they would be stored.
    ///   - elementType: The numbers that the weights are stored as.
    /// - Throws: ``WuerstchenError`` with code `incompatibleParameters` when the base has other
    ///   parameters than the stage, `notFinite` for an element that the type cannot hold, which
    ///   names the tensor, `invalidRequest` for differences in the base's own folder, and
    ///   `unwritableFile`.
    public func write(
        _ parameters: [String: Tensor], _ configuration: some Encodable, base: URL? = nil,
        storesDifferences: Bool = false, elementType: WeightElementType = .float16
    ) throws {
        var stored = parameters
        var metadata: [String: String] = [:]
        if let base, storesDifferences {
            guard base.standardizedFileURL.path != url.standardizedFileURL.path else {
                throw WuerstchenError(
                    .invalidRequest,
                    "\(url.path) is the base itself, and its weights would be lost; store "
                        + "differences in a folder of their own")
            }
            try Self.requireSameNames(Set(parameters.keys), as: base)
            let values = try StudentFolder(base).parameters(over: base).values()
            stored = parameters.filter { name, value in
                values[name].map { !elementType.isSame($0, value) } ?? true
            }
        }
        if let base { metadata[Self.baseKey] = try weightsFingerprint(of: base) }
        try NetworkFolder(url).write(
            stored.map { name, value in elementType.source(name, value.shape) { value } },
            configuration,
            stem: base != nil && storesDifferences
                ? Self.differences : CheckpointLayout.published.stageC.stem,
            metadata: metadata)
    }

    /// Refuses to store differences of a stage with other parameters than the base: they can
    /// replace parameters, and neither add any nor leave any out.
    package static func requireSameNames(
        _ names: Set<String>, as base: URL
    ) throws {
        let others = try StudentFolder(base).parameters(over: base).names ?? []
        guard names != others else { return }
        let list = names.symmetricDifference(others).sorted()
        throw WuerstchenError(
            .incompatibleParameters,
            "the student has other parameters than \(base.path) (\(list.count), such as "
                + "\(list.prefix(4).joined(separator: ", "))), so that it cannot be stored as "
                + "differences; store it whole")
    }
}
