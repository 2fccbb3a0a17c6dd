import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen
import WuerstchenTraining

@main struct Convert: Command {
    static let configuration = CommandConfiguration(
        commandName: "convert",
        abstract: "Write a checkpoint anew, in another layout or with other numbers.",
        discussion: """
            Everything is read again from what was written and compared. Weights that stay the same \
            numbers are copied byte for byte: to another layout and back they are what they were.
            """)

    @Argument(
        help: """
            The checkpoint's folder, in any layout that text-to-image takes: as published, of the \
            hub's cache, of the combined pipeline, or with the original repository's files.
            """)
    var checkpoint: String

    @Argument(help: "The folder to write.")
    var target: String

    @Option(
        help: """
            published: wuerstchen-prior and wuerstchen. combined: one folder, as diffusers saves the \
            combined pipeline. original: the same with a file for each stage under the original \
            repository's names.
            """)
    var layout = CheckpointConversion.Layout.published

    @Option(
        name: .customLong("type"),
        help: """
            The numbers to write: float32, float16, bfloat16 or int8. float16 is refused if a weight \
            is too large for it. int8 is for text-to-image --precision int8, which makes the same \
            images from it as from the checkpoint, on every processor; it is converted to other \
            layouts alone. (default: those that each weight is stored as)
            """)
    var elementType: CheckpointConversion.ElementType?

    @Option(help: "The variant of the weights to read, such as fp16.")
    var variant: String?

    @Flag(help: "Write into a folder that is there already and has something in it.")
    var force = false

    func run() throws {
        let folder = URL(fileURLWithPath: target)
        let source = URL(fileURLWithPath: checkpoint)
        guard folder.standardizedFileURL.path != source.standardizedFileURL.path else {
            throw ValidationError("\(target) is the checkpoint itself; name another folder")
        }
        let conversion = try CheckpointConversion(
            of: source, variant: variant, to: layout, elementType: elementType)
        try conversion.write(to: folder, replaces: force) { print($0) }
        print(folder.path)
    }
}
