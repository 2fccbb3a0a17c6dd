public import Foundation
public import TensorCore
public import WuerstchenNN

/// The folder of a stage by itself, such as a student that was distilled from a checkpoint's: its
/// `config.json`, and its weights in one of two files.
///
/// `diffusion_pytorch_model.safetensors` holds all weights. `differences.safetensors` holds those
/// that differ from another stage's, the base, and in its metadata the base's fingerprint, so that
/// it is not laid over other weights.
public struct StudentFolder: Sendable, Hashable {
    /// The folder.
    public let url: URL
    private static let differences = "differences"
    private static let baseKey = "base"

    /// A folder, which need not be there to be written.
    public init(_ url: URL) {
        self.url = url
    }

    private var differencesFile: URL {
        url.appendingPathComponent("\(Self.differences).safetensors")
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
    ///   `incompatibleParameters` when the differences are from other weights.
    public func parameters(over base: URL) throws -> CheckpointParameters {
        let stem = CheckpointLayout.published.stageC.stem
        guard holdsDifferences else {
            return try CheckpointParameters(directory: url, stem: stem)
        }
        let fingerprint = try weightsFingerprint(of: base)
        guard
            try Safetensors(contentsOf: differencesFile).metadata[Self.baseKey] == fingerprint
        else {
            throw WuerstchenError(
                .incompatibleParameters,
                "\(differencesFile.path) holds the differences from other weights than those in "
                    + "\(base.path) (\(fingerprint)); use it with the checkpoint that it was made from"
            )
        }
        return try CheckpointParameters(contentsOf: differencesFile)
            .merging(over: CheckpointParameters(directory: base, stem: stem))
    }

    /// Writes a stage.
    ///
    /// - Parameters:
    ///   - parameters: All of its parameters under their published names.
    ///   - configuration: The architecture's numbers.
    ///   - base: To store only what differs from another stage, that stage's folder; both are
    ///     compared as they would be stored.
    ///   - elementType: The numbers that the weights are stored as.
    /// - Throws: ``WuerstchenError`` with code `incompatibleParameters` when the base has other
    ///   parameters than the stage, `notFinite` for an element that the type cannot hold, which
    ///   names the tensor, and `unwritableFile`.
    public func write(
        _ parameters: [String: Tensor], _ configuration: some Encodable, over base: URL? = nil,
        elementType: WeightElementType = .float16
    ) throws {
        var stored = parameters
        var metadata: [String: String] = [:]
        if let base {
            try Self.requireSameNames(Set(parameters.keys), as: base)
            let values = try StudentFolder(base).parameters(over: base).values()
            stored = parameters.filter { name, value in
                values[name].map { !elementType.isSame($0, value) } ?? true
            }
            metadata[Self.baseKey] = try weightsFingerprint(of: base)
        }
        try NetworkFolder(url).write(
            stored.map { name, value in elementType.source(name, value.shape) { value } },
            configuration,
            stem: base == nil ? CheckpointLayout.published.stageC.stem : Self.differences,
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
