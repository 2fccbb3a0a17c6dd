import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen

/// Where images go, and what is said about them.
struct OutputArguments: ParsableArguments {
    @Option(help: "A folder for a small preview of each of Stage C's steps.")
    var previews: String?

    @Option(
        help: """
            The PNG file to write, or - for standard output; {seed} in the name stands for the \
            image's seed and {number} for its number among all, from 1. Without them numbers are \
            added to the name of several.
            """)
    var output = "image.png"

    @Option(
        help: ArgumentHelp(
            "A page (.html) of all images with prompts and seeds, or a PNG of the images alone.",
            valueName: "file"))
    var sheet: String?

    @Flag(
        help: """
            Draw the forming image in the terminal, by the preview decoder: in the graphics of kitty \
            or sixel where the terminal announces them, otherwise in coloured half blocks.
            """)
    var watch = false

    @Option(help: "The same, with graphics of your choice.")
    var watchAs: TerminalGraphics?

    @OptionGroup var replacement: ReplacementArguments

    @Flag(
        help: """
            Make only the images whose files are missing, such as after an interruption; those that \
            are there must be of the same requests.
            """)
    var resume = false

    @Flag(
        help: """
            Write what happens to standard output, a JSON object on each line: start, step, preview, \
            picture and error.
            """)
    var json = false

    @Flag(help: "Print nothing but errors.")
    var quiet = false

    func validate() throws {
        guard !json || output != "-" else {
            throw ValidationError("--json and --output - both need standard output")
        }
        guard !resume || output != "-" else {
            throw ValidationError("--resume looks for files, and --output - writes none")
        }
    }

    /// Refuses to write over what is read, or one file over another.
    ///
    /// - Throws: `WuerstchenError` with code `unwritableFile` that names the file.
    func requireApart(_ written: [URL], from read: [String]) throws {
        let sources = Set(read.map { place(of: URL(fileURLWithPath: $0)) })
        var places: Set<String> = []
        for file in written {
            guard !sources.contains(place(of: file)) else {
                throw WuerstchenError(
                    .unwritableFile,
                    "\(file.path) is what the images are made from, and would be lost; choose "
                        + "another name for --output or --sheet")
            }
            guard places.insert(place(of: file)).inserted else {
                throw WuerstchenError(
                    .unwritableFile,
                    "an image and the sheet would both go to \(file.path); choose another name for "
                        + "one of them")
            }
        }
    }

    /// What draws the forming image; nil where none is wanted, or where that cannot be, which is
    /// said.
    func watcher() -> Watch? {
        guard watch || watchAs != nil else { return nil }
        do {
            return try Watch(watchAs)
        } catch {
            StatusLine().note(
                "nothing is drawn: \((error as? WuerstchenError)?.message ?? "\(error)")")
            return nil
        }
    }
}

/// Where a file really is, however it was named.
func place(of file: URL) -> String {
    file.standardizedFileURL.resolvingSymlinksInPath().path
}
