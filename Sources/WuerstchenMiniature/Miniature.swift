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
        /// Its students in their place: one pass of each.
        case fewSteps
    }

    /// The folder of its weights, in the published layout.
    ///
    /// - Throws: `WuerstchenError` with code `fileNotFound` when the package's resources are not
    ///   where its executables are.
    public static func folder() throws -> URL {
        try ShippedFiles.folder("Miniature", of: "WuerstchenMiniature")
    }

    /// The folders of its students: a Stage C and a Stage B that were distilled to one step, and a
    /// Stage A with a smaller decoder, for
    /// `Cascade.init(contentsOf:variant:precision:memory:replacing:)`.
    ///
    /// - Throws: `WuerstchenError` with code `fileNotFound` when the package's resources are not
    ///   where its executables are.
    public static func students() throws -> StageFolders {
        let folder = try ShippedFiles.folder("Students", of: "WuerstchenMiniature")
        return StageFolders(
            stageC: folder.appendingPathComponent("stage-c"),
            stageB: folder.appendingPathComponent("stage-b"),
            stageA: folder.appendingPathComponent("stage-a"))
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
    ///   - variant: The stages as trained, or the students that take one step each.
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
