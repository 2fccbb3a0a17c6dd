import Foundation
import TensorCore
import Wuerstchen

/// An image of a folder, whose header could be read.
struct ImageFile {
    /// The name of its file.
    let name: String
    /// The name of the file with its caption, if there is one.
    let captionName: String?
    let size: ImageSize
    /// Whether it is held out for validation.
    let isHeldOut: Bool
}

/// What a folder of images holds, found without decoding any.
struct ImageListing {
    /// The readable images, in the order of their names.
    let images: [ImageFile]

    /// Kinds of images that somebody may expect to be read.
    private static let otherKinds: Set<String> = [
        "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic",
    ]

    init(_ folder: URL, validationInterval: Int?, problems: ImageProblems) throws {
        let names = try Self.names(in: folder).map { FileName($0) }
        let captions = Dictionary(
            names.filter { $0.kind == "txt" }.map { ($0.stem, $0.name) },
            uniquingKeysWith: { first, _ in first })
        let others = names.filter { Self.otherKinds.contains($0.kind) }
        if let first = others.first {
            problems.name(
                folder.path,
                "\(folder.path) holds images that are not PNG files, \(others.count) of them, "
                    + "such as \(first.name); they are skipped: convert them to PNG")
        }

        let candidates = names.filter { $0.kind == "png" }
        let sizes = concurrentMap(candidates.count) { index in
            Result { try PNGHeader.size(of: folder.file(candidates[index].name)) }
        }
        images = zip(candidates, sizes).compactMap { candidate, size in
            do {
                return ImageFile(
                    name: candidate.name, captionName: captions[candidate.stem],
                    size: try size.get(),
                    isHeldOut: candidate.isHeldOut(every: validationInterval))
            } catch {
                problems.skip(candidate.name, error)
                return nil
            }
        }
        guard !images.isEmpty else {
            let found =
                candidates.isEmpty
                ? "has no PNG file in it"
                : "has no PNG file that can be read, of \(candidates.count)"
            throw WuerstchenError(
                .fileNotFound,
                "\(folder.path) \(found); give a folder with images as PNG files, and captions "
                    + "as text files of the same names")
        }
    }

    /// The names of a folder's visible files, always in the same order.
    private static func names(in folder: URL) throws -> [String] {
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: folder.path, isDirectory: &isDirectory),
            isDirectory.boolValue
        else {
            throw WuerstchenError(
                .fileNotFound,
                "\(folder.path) is not there or not a folder; give a folder with images")
        }
        do {
            // Strings of the same characters in different encodings are equal; bytes never are.
            return try FileManager.default.contentsOfDirectory(atPath: folder.path)
                .filter { !$0.hasPrefix(".") }
                .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        } catch {
            throw WuerstchenError(
                .unreadableFile, "\(folder.path) cannot be listed; check its permissions",
                underlying: error)
        }
    }
}

/// A file's name, taken apart.
private struct FileName {
    let name: String
    /// What images and captions that belong together have in common. Compared as text, so that
    /// accents may be encoded either way.
    let stem: String
    /// The extension in lower case.
    let kind: String

    init(_ name: String) {
        self.name = name
        let dot = name.lastIndex(of: ".") ?? name.endIndex
        stem = String(name[..<dot])
        kind = name[dot...].dropFirst().lowercased()
    }

    /// Whether one in so many falls to this name. The same on every machine, also where names are
    /// stored decomposed.
    func isHeldOut(every interval: Int?) -> Bool {
        guard let interval else { return false }
        // A generator spreads the bits of the hash.
        var hash = FNV1a()
        hash.add(stem.precomposedStringWithCanonicalMapping.utf8)
        var random = ImageRandom(seed: hash.value, .holdingOut)
        return random.below(interval) == 0
    }
}

extension URL {
    /// A file in this folder; the name may hold anything.
    func file(_ name: String) -> URL {
        appendingPathComponent(name, isDirectory: false)
    }
}

extension ImageProblems {
    /// Says that an image is left out, and why.
    func skip(_ name: String, _ error: any Error) {
        let reason = (error as? WuerstchenError)?.message ?? error.localizedDescription
        self.name(name, "\(reason). It is skipped.")
    }
}
