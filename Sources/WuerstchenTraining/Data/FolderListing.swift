import Foundation
import TensorCore
import Wuerstchen

/// The visible files of a folder and, if wanted, of the folders in it: what all readers of images
/// and captions begin with.
struct FolderListing {
    /// The files, always in the same order.
    let files: [FileName]
    /// Folders that were not looked into, in the order of their names.
    let unvisited: [String]

    /// The kinds of files that are looked for or named, which a folder is not called.
    private static let knownKinds = Set(
        ImageFileFormat.allCases.flatMap(\.kinds) + CaptionFile.kinds + ImageListing.otherKinds)

    /// - Throws: `WuerstchenError` with code `fileNotFound` or `unreadableFile` for a folder that
    ///   cannot be listed.
    init(_ folder: URL, includesSubfolders: Bool) throws {
        guard Self.isFolder(folder) else {
            throw WuerstchenError(
                .fileNotFound,
                "\(folder.path) is not there or not a folder; give a folder with images")
        }
        var (paths, unvisited): ([String], [String]) = ([], [])
        // Links may lead back to where they are.
        var visited: Set = [folder.resolvingSymlinksInPath().path]
        var pending = [""]
        while let prefix = pending.popLast() {
            for name in try Self.names(in: prefix.isEmpty ? folder : folder.file(prefix)) {
                let path = prefix + name
                let url = folder.file(path)
                guard includesSubfolders || !Self.knownKinds.contains(FileName(path).kind),
                    Self.isFolder(url)
                else {
                    paths.append(path)
                    continue
                }
                if !includesSubfolders {
                    unvisited.append(path)
                } else if visited.insert(url.resolvingSymlinksInPath().path).inserted {
                    pending.append(path + "/")
                }
            }
        }
        // Strings of the same characters in different encodings are equal; bytes never are.
        func inOrder(_ paths: [String]) -> [String] {
            paths.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        }
        files = inOrder(paths).map { FileName($0) }
        self.unvisited = inOrder(unvisited)
    }

    /// The files with captions, by the stems of their names.
    var captions: [String: FileName] {
        var result: [String: FileName] = [:]
        for kind in CaptionFile.kinds {
            for file in files where file.kind == kind && result[file.stem] == nil {
                result[file.stem] = file
            }
        }
        return result
    }

    /// What to do where nothing was found because it lies deeper.
    var advice: String? {
        unvisited.first.map {
            "folders in it, \(unvisited.count) of them, such as \($0), are not looked into "
                + "without --subfolders (`includesSubfolders`)"
        }
    }

    private static func isFolder(_ url: URL) -> Bool {
        var isDirectory: ObjCBool = false
        return FileManager.default.fileExists(atPath: url.path, isDirectory: &isDirectory)
            && isDirectory.boolValue
    }

    /// The names of a folder's visible entries. macOS leaves `._name` beside files on foreign
    /// disks.
    private static func names(in folder: URL) throws -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: folder.path)
                .filter { !$0.hasPrefix(".") }
        } catch {
            throw WuerstchenError(
                .unreadableFile, "\(folder.path) cannot be listed; check its permissions",
                underlying: error)
        }
    }
}

/// A file's path below a folder, taken apart.
struct FileName {
    /// The path below the folder, which is the name where there are no subfolders.
    let name: String
    /// What images and captions that belong together have in common. Compared as text, so that
    /// accents may be encoded either way.
    let stem: String
    /// The extension in lower case.
    let kind: String

    init(_ name: String) {
        self.name = name
        let start = name.lastIndex(of: "/") ?? name.startIndex
        let dot = name[start...].lastIndex(of: ".") ?? name.endIndex
        stem = String(name[..<dot])
        kind = name[dot...].dropFirst().lowercased()
    }

    /// Whether this name is among a share of all. The same on every machine, also where names are
    /// stored decomposed.
    func isHeldOut(share: Double) -> Bool {
        // A generator spreads the bits of the hash.
        var hash = FNV1a()
        hash.add(stem.precomposedStringWithCanonicalMapping.utf8)
        var random = ImageRandom(seed: hash.value, .holdingOut)
        return Double(random.next()) < share * 0x1p64
    }
}

extension URL {
    /// A file in this folder; the name may hold anything.
    func file(_ name: String) -> URL {
        appendingPathComponent(name, isDirectory: false)
    }
}
