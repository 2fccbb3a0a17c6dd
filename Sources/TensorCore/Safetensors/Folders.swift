package import Foundation

/// Makes a folder, with those that it is in, unless it is there.
///
/// - Throws: ``WuerstchenError`` with code `unwritableFile`.
package func makeFolder(_ folder: URL) throws {
    do {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    } catch {
        throw WuerstchenError(
            .unwritableFile,
            "the folder \(folder.path) cannot be made; check that the folder it goes into may be "
                + "written to and that no file has its name", underlying: error)
    }
}
