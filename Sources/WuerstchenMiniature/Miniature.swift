public import Foundation
public import TensorCore
public import Wuerstchen

/// The small cascade that ships in the package: 256×256 pictures of houses, trees, boats, balloons and
/// lighthouses in landscapes, trained from nothing by the package's own trainer.
///
/// `ModelCard.md` beside the weights says on what, for how long, and how good it is.
public enum Miniature {
    /// The folder of its weights, in the published layout.
    ///
    /// - Throws: ``WuerstchenError`` with code `fileNotFound` when the package's resources are not
    ///   where its executables are.
    public static func folder() throws -> URL {
        try ShippedFiles.folder("Miniature", of: "WuerstchenMiniature")
    }

    /// Its semantic compressor.
    ///
    /// - Throws: ``WuerstchenError`` when its file is not there or damaged.
    public static func compressor() throws -> SemanticCompressor {
        try SemanticCompressor(
            contentsOf: folder().appendingPathComponent("compressor.safetensors"),
            latentSpace: SemanticLatentSpace(scale: 1, offset: 0))
    }
}

extension Cascade {
    /// The small cascade that ships in the package.
    ///
    /// - Parameter precision: The numbers that the large matrices are stored in and multiplied with.
    /// - Returns: The cascade, all of it in memory.
    /// - Throws: ``WuerstchenError`` when the package's resources are not where its executables are.
    public static func miniature(precision: Precision = .float32) throws -> Cascade {
        try Cascade(contentsOf: Miniature.folder(), precision: precision)
    }
}
