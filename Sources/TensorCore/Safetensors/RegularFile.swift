package import Foundation

/// Refuses what is no regular file: a pipe or a device would be waited for.
///
/// - Returns: The number of its bytes.
/// - Throws: `WuerstchenError` with code `fileNotFound` or `unreadableFile`.
package func requireRegularFile(_ url: URL) throws -> Int {
    let target = url.resolvingSymlinksInPath()
    let attributes = try? FileManager.default.attributesOfItem(atPath: target.path)
    guard let type = attributes?[.type] as? FileAttributeType else {
        throw WuerstchenError(.fileNotFound, "\(url.path) is not there")
    }
    guard type != .typeSymbolicLink else {
        throw WuerstchenError(.fileNotFound, "\(url.path) is a link to what is not there")
    }
    guard type == .typeRegular else {
        throw WuerstchenError(.unreadableFile, "\(url.path) is not a regular file")
    }
    return (attributes?[.size] as? NSNumber)?.intValue ?? 0
}

/// All bytes of a file.
///
/// - Throws: `WuerstchenError` with code `unreadableFile`.
package func contents(of url: URL) throws -> Data {
    do {
        return try Data(contentsOf: url)
    } catch {
        throw WuerstchenError(
            .unreadableFile, "\(url.path) cannot be read; check its permissions",
            underlying: error)
    }
}
