public import Foundation
internal import TensorCore
internal import Wuerstchen

/// Refuses the folder of a training that begins if it holds files that it would write over, and
/// that no training wrote: a report, a LoRA or a folder of weights, without a training's state in
/// the folder or in one of those in it.
///
/// - Throws: `WuerstchenError` with code `unwritableFile` that names the file.
public func requireNothingForeign(in folder: URL) throws {
    let files = FileManager.default
    let inside = (try? files.contentsOfDirectory(atPath: folder.path)) ?? []
    let states = ["."] + inside
    guard
        !states.contains(where: {
            files.fileExists(
                atPath: folder.appendingPathComponent($0)
                    .appendingPathComponent("state.safetensors").path)
        })
    else { return }
    let own = ["report.html", "checkpoint", "student", CascadeLoRA.fileName]
    for name in own where inside.contains(name) {
        let file = folder.appendingPathComponent(name)
        guard !HTMLPage.isOwn(file) else { continue }
        throw WuerstchenError(
            .unwritableFile,
            "\(file.path) is there already, and there is no training's state beside it: a training "
                + "here would overwrite it. Choose another folder or move it away; the parts of "
                + "`train` overwrite it with --force (`replacesForeignFiles`)")
    }
}

/// Whether an image or a page has this package's mark in it.
public func isWrittenByThisPackage(_ file: URL) -> Bool {
    if file.pathExtension.lowercased() == "html" { return HTMLPage.isOwn(file) }
    return (try? Image.read(contentsOf: file))?.text[Image.software.key] == Image.software.value
}

/// Refuses to resume where nothing was begun.
///
/// - Parameter file: The training's state, or the folder that it is in.
/// - Throws: `WuerstchenError` with code `fileNotFound`.
public func requireTraining(at file: URL) throws {
    guard FileManager.default.fileExists(atPath: file.path) else {
        throw WuerstchenError(
            .fileNotFound,
            "there is no training to resume: \(file.path) is not there; look for the folder that it "
                + "was begun in, or begin it")
    }
}
