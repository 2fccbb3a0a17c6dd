import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen
import WuerstchenScenes
import WuerstchenTraining

@main struct Scenes: Command {
    static let configuration = CommandConfiguration(
        commandName: "scenes",
        abstract: "Draw captioned scenes: a folder of PNGs, each with its caption beside it.")

    @Argument(help: "The folder to write to; it is made if it is not there.")
    var folder: String

    @Option(help: "How many images.")
    var count = 100

    @Option(help: "The same seed draws the same scenes; -1 for a random one, which is printed.")
    var seed = Seed(0)

    @Flag(help: "Draw the combinations that the miniature was not trained on.")
    var heldOut = false

    @Flag(help: "Let captions mention everything.")
    var full = false

    @OptionGroup var replacement: ReplacementArguments

    func validate() throws {
        guard (1...10_000_000).contains(count) else {
            throw ValidationError("--count must be 1 to 10000000")
        }
    }

    func run() throws {
        let directory = URL(fileURLWithPath: folder)
        try makeWritable(directory)
        try replacement.check(files(in: directory)) { file in
            isWrittenByThisPackage(file.deletingPathExtension().appendingPathExtension("png"))
        }
        seed.announce()
        let images = SceneImages(
            seed: seed.value, split: heldOut ? .heldOut : .training, mentionsAll: full)
        let line = StatusLine()
        for number in 0..<count {
            let example = images.example(number)
            let name = name(of: number)
            let image = try Image(
                width: SceneRenderer.side, height: SceneRenderer.side, pixels: example.draw())
            try image.write(
                to: directory.appendingPathComponent("\(name).png"), text: [Image.software])
            try Data((example.caption + "\n").utf8).write(
                to: directory.appendingPathComponent("\(name).txt"), options: .atomic)
            if number % 20 == 19 { line.show("\(number + 1) of \(count)") }
        }
        if line.isTerminal { line.note("\(count) of \(count)") }
    }

    private func name(of number: Int) -> String {
        String(repeating: "0", count: max(0, 6 - "\(number)".count)) + "\(number)"
    }

    /// The files in the folder that have names of scenes.
    private func files(in directory: URL) throws -> [URL] {
        try FileManager.default.contentsOfDirectory(
            at: directory, includingPropertiesForKeys: nil
        ).filter { file in
            let stem = file.deletingPathExtension().lastPathComponent
            guard ["png", "txt"].contains(file.pathExtension), let number = Int(stem) else {
                return false
            }
            return (0..<count).contains(number) && name(of: number) == stem
        }.sorted { $0.path < $1.path }
    }
}
