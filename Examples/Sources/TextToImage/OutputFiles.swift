import Foundation
import Wuerstchen

/// The files that the images go to.
struct OutputFiles {
    private let file: URL
    private let count: Int

    init(_ path: String, count: Int) {
        file = URL(fileURLWithPath: path)
        self.count = count
    }

    /// `house.png`, or `house-1.png`, `house-2.png` and so on where there are several.
    subscript(index: Int) -> URL {
        guard count > 1 else { return file }
        let name = file.deletingPathExtension().lastPathComponent
        let ending = file.pathExtension.isEmpty ? "png" : file.pathExtension
        return file.deletingLastPathComponent().appendingPathComponent(
            "\(name)-\(index + 1).\(ending)")
    }

    /// Finds out before the work, not after it, whether its result can be kept.
    func checkWritable() throws {
        let files = FileManager.default
        let folder = file.deletingLastPathComponent().path
        var isDirectory: ObjCBool = false
        guard files.fileExists(atPath: folder, isDirectory: &isDirectory), isDirectory.boolValue
        else {
            throw WuerstchenError(
                .unwritableFile, "\(folder) is not there or not a folder; make it first")
        }
        isDirectory = false
        if files.fileExists(atPath: file.path, isDirectory: &isDirectory), isDirectory.boolValue {
            throw WuerstchenError(
                .unwritableFile, "\(file.path) is a folder; --output takes a file's name")
        }
        let kind = try? files.attributesOfItem(atPath: file.path)[.type] as? FileAttributeType
        if let kind, kind != .typeRegular, kind != .typeSymbolicLink {
            throw WuerstchenError(
                .unwritableFile,
                "\(file.path) is a device or the like; --output takes a file's name")
        }
        guard files.isWritableFile(atPath: folder) else {
            throw WuerstchenError(.unwritableFile, "\(folder) cannot be written to")
        }
    }
}

/// The folder that the steps' previews go to.
struct PreviewFolder {
    private let folder: URL

    init(_ path: String) throws {
        folder = URL(fileURLWithPath: path)
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        } catch {
            throw WuerstchenError(
                .unwritableFile, "\(path) cannot be made a folder for previews", underlying: error)
        }
    }

    func write(_ images: [Image], step: Int) throws {
        let number = String(step + 1)
        let padded = String(repeating: "0", count: max(0, 3 - number.count)) + number
        for (index, image) in images.enumerated() {
            let suffix = images.count > 1 ? "-\(index + 1)" : ""
            try image.write(to: folder.appendingPathComponent("step-\(padded)\(suffix).png"))
        }
    }
}
