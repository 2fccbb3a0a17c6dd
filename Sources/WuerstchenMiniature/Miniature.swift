public import Foundation
public import TensorCore
public import Wuerstchen

/// The small cascade that ships in the package: 256×256 images of houses, trees, boats, balloons
/// and lighthouses in landscapes, trained from random parameters by the package's own trainer.
///
/// `ModelCard.md` beside the weights says on what, for how long, and how good it is.
public enum Miniature {
    /// How many steps its stages take.
    public enum Variant: Sendable {
        /// The stages as they were trained, which take dozens of steps.
        case full
        /// A student of Stage C, which takes one step, and Stage B in four steps.
        case fewSteps
    }

    /// The folder of its weights, in the published layout.
    ///
    /// - Throws: `WuerstchenError` with code `fileNotFound` when the package's resources are not
    ///   where its executables are.
    public static func folder() throws -> URL {
        try ShippedFiles.folder("Miniature", of: "WuerstchenMiniature")
    }

    /// The folders of its students, for
    /// `Cascade.init(contentsOf:variant:precision:memory:replacing:)`: a Stage C that was distilled
    /// to one step, and Stage B's own weights with a configuration that asks for four steps.
    ///
    /// - Throws: `WuerstchenError` with code `fileNotFound` when the package's resources are not
    ///   where its executables are.
    public static func students() throws -> StageFolders {
        let folder = try ShippedFiles.folder("Students", of: "WuerstchenMiniature")
        return StageFolders(
            stageC: folder.appendingPathComponent("stage-c"),
            stageB: folder.appendingPathComponent("stage-b"))
    }

    /// Its semantic compressor.
    ///
    /// - Throws: `WuerstchenError` when its file is not there or damaged.
    public static func compressor() throws -> SemanticCompressor {
        try SemanticCompressor(
            contentsOf: folder().appendingPathComponent("compressor.safetensors"),
            latentSpace: SemanticLatentSpace(scale: 1, offset: 0))
    }
}

extension Cascade {
    /// The small cascade that ships in the package.
    ///
    /// - Parameters:
    ///   - variant: The stages as trained, or those that take few steps.
    ///   - precision: The numbers that the large matrices are stored in and multiplied with.
    /// - Returns: The cascade, all of it in memory.
    /// - Throws: `WuerstchenError` when the package's resources are not where its executables are.
    public static func miniature(
        _ variant: Miniature.Variant = .full, precision: Precision = .float32
    ) throws -> Cascade {
        try Cascade(
            contentsOf: Miniature.folder(), precision: precision,
            replacing: variant == .fewSteps ? Miniature.students() : StageFolders())
    }
}
