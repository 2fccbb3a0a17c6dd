import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen
import WuerstchenMiniature
import WuerstchenTraining

@main struct DocumentationPictures: Command {
    static let configuration = CommandConfiguration(
        commandName: "documentation-pictures",
        abstract: "Draw the pictures of the documentation anew, with the miniature.",
        discussion: """
            Run it in the package's folder after the miniature changed. Every picture is a PNG file \
            beside the article that shows it.
            """)

    @Option(help: "The folder of the package.")
    var package = "."

    @Flag(help: "Write over files that this command did not make.")
    var force = false

    /// What a page can be expected to load for each of its pictures.
    private static let maximumBytes = 60_000

    func run() throws {
        let folder = URL(fileURLWithPath: package)
            .appending(path: "Sources/Wuerstchen/Wuerstchen.docc")
        guard FileManager.default.fileExists(atPath: folder.path) else {
            throw ValidationError("--package \(package) is not the folder of the package")
        }
        let pictures = try Pictures()
        for (name, draw) in pictures.all {
            let file = folder.appending(path: "\(name).png")
            if !force { try requireOwn([file], or: "write over it with --force") }
            let picture = try fitted(try draw())
            try picture.write(to: file, text: [Image.software])
            print("\(file.path): \(picture.size) pixels")
        }
    }

    /// The images in rows, as large as the bytes allow.
    private func fitted(_ rows: [[Image]]) throws -> Image {
        var sheet = ContactSheet(title: "", columns: rows.map(\.count).max() ?? 1)
        for row in rows { sheet.addRow("", row) }
        for side in stride(from: 192, to: 48, by: -8) {
            sheet.imageSide = side
            let image = try rounded(sheet.image())
            if try image.pngData().count <= Self.maximumBytes { return image }
        }
        throw ValidationError("these images do not fit \(Self.maximumBytes) bytes at any size")
    }

    /// The image in steps of four, which nobody sees and which take a good part of the bytes away.
    private func rounded(_ image: Image) throws -> Image {
        try Image(
            width: image.width, height: image.height,
            pixels: image.pixels.map { $0 > 251 ? 255 : ($0 + 2) / 4 * 4 })
    }
}
