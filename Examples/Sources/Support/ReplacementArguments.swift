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
        try requirePlace(for: file)
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

/// Refuses names that no file can be written under, before any work is done: one that is too long,
/// or that of a folder, a device or a link that leads nowhere.
///
/// - Parameters:
///   - file: The file.
///   - advice: What to do where it is a device.
/// - Throws: `WuerstchenError` with code `unwritableFile`.
public func requirePlace(for file: URL, or advice: String = "name a file") throws {
    let files = FileManager.default
    let name = file.lastPathComponent
    guard name.utf8.count <= Int(NAME_MAX) else {
        throw WuerstchenError(
            .unwritableFile,
            "the name \(name.prefix(40))… has \(name.utf8.count) bytes; a file's name has up to "
                + "\(NAME_MAX)")
    }
    let device = WuerstchenError(
        .unwritableFile, "\(file.path) is a device or the like; \(advice)")
    // `/dev/stdout` is a link to whatever standard output is, even to a regular file.
    if file.standardizedFileURL.path.hasPrefix("/dev/"), files.fileExists(atPath: file.path) {
        throw device
    }
    switch try? files.attributesOfItem(atPath: file.path)[.type] as? FileAttributeType {
    case nil, .typeRegular?: return
    case .typeDirectory?:
        throw WuerstchenError(
            .unwritableFile, "\(file.path) is a folder; name the file in it")
    case .typeSymbolicLink?:
        guard files.fileExists(atPath: file.path) else {
            throw WuerstchenError(
                .unwritableFile, "\(file.path) is a link to a file that does not exist")
        }
        let linked = file.resolvingSymlinksInPath()
        if linked.path != file.path { try requirePlace(for: linked, or: advice) }
    default: throw device
    }
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
