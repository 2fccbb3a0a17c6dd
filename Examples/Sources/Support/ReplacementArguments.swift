public import ArgumentParser
public import Foundation
private import Wuerstchen
public import WuerstchenTraining

/// What a command may write over: what it wrote itself, and anything else only if told to.
public struct ReplacementArguments: ParsableArguments, Sendable {
    /// Whether other files may be written over.
    @Flag(help: "Write over files that this command did not make.")
    public var force = false

    /// Nothing named.
    public init() {}

    /// Refuses, before any work is done, to write over files that the command did not make.
    ///
    /// - Parameters:
    ///   - files: Where the command is going to write.
    ///   - isOwn: Whether the command made the file that is there.
    /// - Throws: `WuerstchenError` with code `unwritableFile` that names the file.
    public func check(
        _ files: some Sequence<URL>, isOwn: (URL) -> Bool = isWrittenByThisPackage
    ) throws {
        guard !force else { return }
        try requireOwn(files, or: "choose another name, or write over it with --force", isOwn)
    }

    /// The file of a sheet of images, if it can be written; nil for none.
    ///
    /// - Throws: `ValidationError` for another format than those of sheets, and `WuerstchenError`
    ///   with code `unwritableFile`.
    public func sheet(_ path: String?) throws -> URL? {
        guard let path else { return nil }
        let file = URL(fileURLWithPath: path)
        guard ["html", "png"].contains(file.pathExtension.lowercased()) else {
            throw ValidationError("--sheet \(path) must end in .html or .png")
        }
        try requireWritable(file.deletingLastPathComponent())
        try check([file])
        return file
    }
}

/// Makes a folder if it is not there, for files that are written to it later.
///
/// - Throws: `WuerstchenError` with code `unwritableFile` where the folder or files in it cannot be
///   made.
public func makeWritable(_ folder: URL) throws {
    do {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    } catch {
        throw WuerstchenError(
            .unwritableFile,
            "the folder \(folder.path) cannot be made; choose another name", underlying: error)
    }
    try requireWritable(folder)
}

/// Finds out before any work is done whether files can be made in a folder.
///
/// - Throws: `WuerstchenError` with code `unwritableFile` that says why not.
public func requireWritable(_ folder: URL) throws {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: folder.path, isDirectory: &isDirectory),
        isDirectory.boolValue
    else {
        throw WuerstchenError(
            .unwritableFile, "\(folder.path) is not there or not a folder; make it first")
    }
    // Permissions do not tell: a system may be read-only, or hold no files at all.
    let file = folder.appendingPathComponent(".\(UUID().uuidString).partial").path
    let descriptor = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
        throw WuerstchenError(
            .unwritableFile,
            "\(folder.path) cannot be written to: \(String(cString: strerror(errno))); choose "
                + "another folder, or check its permissions")
    }
    close(descriptor)
    unlink(file)
}

/// Refuses to write over files that are not a command's own.
public func requireOwn(
    _ files: some Sequence<URL>, or advice: String,
    _ isOwn: (URL) -> Bool = isWrittenByThisPackage
) throws {
    for file in files where FileManager.default.fileExists(atPath: file.path) && !isOwn(file) {
        throw WuerstchenError(
            .unwritableFile,
            "\(file.path) is there already, and this command did not make it; \(advice)")
    }
}
