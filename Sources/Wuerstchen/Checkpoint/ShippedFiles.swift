package import Foundation
internal import TensorCore

/// Files that ship with the package's modules.
package enum ShippedFiles {
    /// A folder among a module's resources.
    ///
    /// The accessor that the package manager generates ends the process where resources were not
    /// shipped; this looks in the same places and says so instead.
    ///
    /// - Parameters:
    ///   - name: The folder, or a path in it.
    ///   - module: The module whose resource it is.
    /// - Returns: Where it is.
    /// - Throws: ``WuerstchenError`` with code `fileNotFound` when it is not beside the executable.
    package static func folder(_ name: String, of module: String) throws -> URL {
        let bundle = "Wuerstchen_\(module).resources"
        let executable = Bundle.main.executableURL?.resolvingSymlinksInPath()
        let places = [
            Bundle.main.resourceURL, Bundle.main.bundleURL,
            executable?.deletingLastPathComponent(),
            executable?.deletingLastPathComponent().deletingLastPathComponent(),
        ]
        for place in places {
            guard let folder = place?.appendingPathComponent(bundle).appendingPathComponent(name)
            else { continue }
            if FileManager.default.fileExists(atPath: folder.path) { return folder }
        }
        throw WuerstchenError(
            .fileNotFound,
            "\(bundle) with \(name) is not beside the executable; copy it there from the build "
                + "folder, or name files of your own")
    }
}
