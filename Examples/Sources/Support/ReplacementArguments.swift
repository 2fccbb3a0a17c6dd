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
