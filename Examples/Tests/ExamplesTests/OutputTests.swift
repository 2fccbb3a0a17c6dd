import Foundation
import Testing
import Wuerstchen

/// What commands write over, and what they leave.
extension ExamplesTests {
    /// The smallest image that `text-to-image` makes.
    private func draw(_ arguments: String...) throws -> Outcome {
        try run(
            "text-to-image",
            ["a boat", "--width", "128", "--height", "128", "--stage-c-steps", "1"]
                + ["--decoder", "preview", "--quiet"] + arguments)
    }

    private func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

    private func write(_ text: String, to name: String) throws {
        let file = folder.appendingPathComponent(name)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
    }

    private func text(of name: String) -> String? {
        try? String(contentsOfFile: path(name), encoding: .utf8)
    }

    private func files() throws -> Set<String> {
        Set(try FileManager.default.contentsOfDirectory(atPath: folder.path))
            .subtracting(["output.txt", "errors.txt"])
    }

    @Test("Names keep their points, and different names are different files")
    func names() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        for name in ["cat v1.2 best", "cat v1.3 worst", "plain", "v1.2", "x.PNG", ".hidden"] {
            let made = try draw("--count", "2", "--output", name)
            #expect(made.status == 0, "\(made.errors)")
        }
        var expected: Set<String> = ["x-1.PNG", "x-2.PNG"]
        for name in ["cat v1.2 best", "cat v1.3 worst", "plain", "v1.2", ".hidden"] {
            expected.formUnion(["\(name)-1.png", "\(name)-2.png"])
        }
        #expect(try files() == expected)
        #expect(try draw("--output", "one").status == 0)
        #expect(FileManager.default.fileExists(atPath: path("one.png")))
    }

    @Test(
        "What is no name of a PNG file is refused before any work",
        arguments: [
            ("a.jpg", "PNG"), ("notes.txt", "PNG"), ("newdir/", "is a folder"),
            ("/dev/null", "a device"), ("/dev/stdout", "a device"), ("", "is empty"),
            ("folder.png", "is a folder"),
            ("dangling.png", "a link"), ("folder", "is a folder"),
            ("{Seed}.png", "{Seed} stands for nothing"), ("{seed}-{name}", "{name} stands for"),
        ])
    func impossibleOutput(_ name: String, _ expected: String) throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        for name in ["folder", "folder.png"] {
            try FileManager.default.createDirectory(
                atPath: path(name), withIntermediateDirectories: false)
        }
        try FileManager.default.createSymbolicLink(
            atPath: path("dangling.png"), withDestinationPath: path("nowhere/x.png"))
        let before = try files()
        let made = try draw("--output", name)
        #expect(made.status != 0 && made.errors.contains(expected), "\(made.errors)")
        #expect(try files() == before)
        for (option, name) in [("--previews", "no/p"), ("--sheet", "no/s.png")] {
            let made = try draw(option, name)
            #expect(made.status != 0 && made.errors.contains("make it first"), "\(made.errors)")
        }
        #expect(try files() == before)
        let long = try draw("--output", String(repeating: "é", count: 130))
        #expect(long.status != 0 && long.errors.contains("264 bytes"), "\(long.errors)")
    }

    @Test("An image goes over an earlier one, and over nothing else unless it is forced")
    func replacement() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let photo = try Image(width: 2, height: 2, pixels: [UInt8](repeating: 9, count: 12))
        try photo.write(to: folder.appendingPathComponent("house-2.png"))
        try write("mine", to: "previews/step-001-1.png")
        let refused = try draw("--count", "2", "--output", "house.png")
        #expect(refused.status != 0 && refused.errors.contains("--force"), "\(refused.errors)")
        #expect(refused.errors.contains(path("house-2.png")), "\(refused.errors)")
        #expect(try Image(contentsOf: folder.appendingPathComponent("house-2.png")) == photo)
        #expect(!FileManager.default.fileExists(atPath: path("house-1.png")))
        let previews = try draw("--previews", "previews")
        #expect(previews.status != 0 && text(of: "previews/step-001-1.png") == "mine")
        let forced = try draw(
            "--count", "2", "--output", "house.png", "--previews", "previews", "--force")
        #expect(forced.status == 0, "\(forced.errors)")
        let again = try draw("--count", "2", "--output", "house.png", "--previews", "previews")
        #expect(again.status == 0, "\(again.errors)")
    }

    @Test("Random weights go over random weights alone")
    func randomCheckpoint() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        _ = try checkpoint()
        let again = try run("random-checkpoint", "checkpoint", "--size", "small")
        #expect(again.status == 0, "\(again.errors)")
        let stage = "checkpoint/wuerstchen/vqgan/diffusion_pytorch_model"
        let kept = try Data(contentsOf: folder.appendingPathComponent("\(stage).safetensors"))
        for file in ["\(stage).bin", "real/wuerstchen-prior/prior/config.json"] {
            try write("real", to: file)
            let checkpoint = String(file.split(separator: "/")[0])
            let refused = try run("random-checkpoint", checkpoint, "--size", "small")
            #expect(refused.status != 0 && refused.errors.contains("--force"), "\(refused.errors)")
            #expect(text(of: file) == "real")
        }
        #expect(
            try Data(contentsOf: folder.appendingPathComponent("\(stage).safetensors")) == kept)
        let forced = try run("random-checkpoint", "checkpoint", "--size", "small", "--force")
        #expect(forced.status == 0, "\(forced.errors)")
    }

    @Test("Scenes go over scenes alone")
    func scenesOverPhotos() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try write("photo", to: "photos/000001.png")
        try write("caption", to: "captions/000000.txt")
        for name in ["photos", "captions"] {
            let refused = try run("scenes", name, "--count", "2")
            #expect(refused.status != 0 && refused.errors.contains("--force"), "\(refused.errors)")
        }
        #expect(text(of: "photos/000001.png") == "photo")
        #expect(text(of: "captions/000000.txt") == "caption")
        #expect(!FileManager.default.fileExists(atPath: path("photos/000000.png")))
        // Others' names are not in the way.
        #expect(try run("scenes", "photos", "--count", "1").status == 0)
        #expect(try run("scenes", "photos", "--count", "1").status == 0)
        #expect(try run("scenes", "photos", "--count", "2", "--force").status == 0)
    }

    @Test("The chained stages go over their own images alone")
    func chainOverPhoto() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try write("photo", to: "image.png")
        let refused = try run("chain-stages", try checkpoint(), "a tree")
        #expect(refused.status != 0 && refused.output.contains("image.png"), "\(refused.output)")
        #expect(text(of: "image.png") == "photo")
        try FileManager.default.removeItem(atPath: path("image.png"))
        for _ in 0..<2 { #expect(try run("chain-stages", "checkpoint", "a tree").status == 0) }
    }

    @Test("An evaluation's sheet goes over a sheet alone", arguments: ["a.png", "a.html"])
    func sheetOverNotes(_ name: String) throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let arguments = [
            "--only", "renders", "--count", "2", "--references", "2", "--sheet", name,
        ]
        try write("mine", to: name)
        let refused = try run("evaluate", arguments)
        #expect(refused.status != 0 && refused.errors.contains("--force"), "\(refused.errors)")
        #expect(text(of: name) == "mine")
        for force in [["--force"], []] {
            let made = try run("evaluate", arguments + force)
            #expect(made.status == 0, "\(made.errors)")
        }
    }
}
