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
        // The accessor that the package manager generates ends the process where resources were not
        // shipped; a library says so instead.
        let bundle = "Wuerstchen_WuerstchenMiniature.resources"
        let executable = Bundle.main.executableURL?.resolvingSymlinksInPath()
        let places = [
            Bundle.main.resourceURL, Bundle.main.bundleURL,
            executable?.deletingLastPathComponent(),
            executable?.deletingLastPathComponent().deletingLastPathComponent(),
        ].compactMap { $0 }
        for place in places {
            let folder = place.appendingPathComponent(bundle).appendingPathComponent("Miniature")
            if FileManager.default.fileExists(
                atPath: folder.appendingPathComponent("wuerstchen/model_index.json").path)
            {
                return folder
            }
        }
        throw WuerstchenError(
            .fileNotFound,
            "the miniature's weights, \(bundle), are not beside the executable; copy them there from "
                + "the build folder, or load a checkpoint of your own")
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
