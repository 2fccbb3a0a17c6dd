import Foundation
import Wuerstchen

extension URL {
    /// Puts an image of one grey into the folder.
    func putImage(_ name: String, size: (Int, Int) = (40, 40), _ value: UInt8 = 7) throws {
        try makeParent(of: name)
        try Image.plain(size.0, size.1, value).write(to: appendingPathComponent(name))
    }

    /// Puts a file into the folder.
    func put(_ name: String, _ bytes: some Sequence<UInt8>) throws {
        try makeParent(of: name)
        try Data(bytes).write(to: appendingPathComponent(name))
    }

    /// Puts a text into the folder.
    func put(_ name: String, _ text: String) throws { try put(name, text.utf8) }

    /// Puts a link that leads nowhere into the folder.
    func putDeadLink(_ name: String) throws {
        try FileManager.default.createSymbolicLink(
            atPath: appendingPathComponent(name).path, withDestinationPath: "/nowhere/at all")
    }

    private func makeParent(of name: String) throws {
        try FileManager.default.createDirectory(
            at: appendingPathComponent(name).deletingLastPathComponent(),
            withIntermediateDirectories: true)
    }
}
