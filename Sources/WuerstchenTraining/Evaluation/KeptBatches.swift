public import Foundation
internal import TensorCore
internal import Wuerstchen
internal import WuerstchenNN

/// Batches of images in the files of a folder, each made once: what was interrupted goes on there,
/// and several processes make them together.
public struct KeptBatches: Sendable {
    /// Where they are.
    public let folder: URL
    /// All that they depend on. Files of another record are refused.
    public let record: String

    private static let key = "evaluation"

    /// Batches in a folder, which is made if it is not there.
    ///
    /// - Parameters:
    ///   - folder: The folder.
    ///   - record: All that they depend on.
    /// - Throws: `WuerstchenError` with code `unwritableFile`.
    public init(in folder: URL, record: String) throws {
        try makeFolder(folder)
        (self.folder, self.record) = (folder, record)
    }

    private func file(_ name: String) -> URL {
        folder.appendingPathComponent("\(name).safetensors")
    }

    /// Whether there is a batch of a name.
    func has(_ name: String) -> Bool {
        FileManager.default.fileExists(atPath: file(name).path)
    }

    /// The batch of a name, which is made if it is not there.
    ///
    /// - Parameters:
    ///   - name: The name.
    ///   - make: Makes it.
    /// - Returns: The same bits, from the file or not.
    /// - Throws: `WuerstchenError` with code `invalidRequest` for a batch of another record.
    func batch(_ name: String, make: () throws -> Tensor) throws -> Tensor {
        let file = file(name)
        guard has(name) else {
            let made = try make()
            try Safetensors.write(
                [Safetensors.Source(name: "pixels", made)], metadata: [Self.key: record], to: file)
            return made
        }
        let header = try Safetensors(contentsOf: file)
        guard header.metadata[Self.key] == record else {
            throw WuerstchenError(
                .invalidRequest,
                "\(file.path) was made with other weights, settings, images or kernels; choose "
                    + "another folder, or delete this one")
        }
        guard let shape = header.entries["pixels"]?.shape, shape.count == 4,
            case .found(let pixels) = try CheckpointParameters(contentsOf: file).parameter(
                ParameterRequest("pixels", Shape(shape)))
        else {
            throw WuerstchenError(.malformedFile, "\(file.path) holds no images; delete it")
        }
        return pixels
    }
}
