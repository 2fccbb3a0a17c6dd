import Foundation
import Testing
import Wuerstchen

/// What the commands make of folders and parts as people have them.
@Suite("Folders and parts given to examples", .serialized) struct FolderTests {
    private let examples: ExamplesTests

    init() throws { examples = try ExamplesTests() }

    private var folder: URL { examples.folder }

    private func put(_ name: String, _ bytes: some Sequence<UInt8>) throws {
        let file = folder.appendingPathComponent(name)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: file)
    }

    private func putImage(_ name: String, side: Int = 128) throws {
        let image = try Image(
            width: side, height: side,
            pixels: (0..<3 * side * side).map { UInt8(truncatingIfNeeded: $0 >> 6) })
        try put(name, [])
        try image.write(to: folder.appendingPathComponent(name))
    }

    private func train(_ arguments: String...) throws -> ExamplesTests.Outcome {
        try examples.run("train", arguments)
    }

    @Test("A training says what it found, and refuses to learn text from no caption")
    func captions() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try put(
            "tiny.json", #"{"c": 24, "c_cond": 128, "c_r": 8, "depth": 1, "nhead": 3}"#.utf8)
        // Alone, an image of this name would be held out.
        try putImage("in/26.png")
        let command = [
            "stage-c", "trained", "--configuration", "tiny.json", "--steps", "1", "--batch", "1",
            "--images", "in", "--side", "128",
        ]
        let silent = try examples.run("train", command)
        #expect(silent.status != 0)
        for words in ["no caption", "26.png", "--no-captions", "none: there are too few images"] {
            #expect(silent.errors.contains(words), "\(silent.errors)")
        }
        let meant = try examples.run("train", command + ["--no-captions"])
        #expect(meant.status == 0, "\(meant.errors)")

        try put("in/26.caption", "a red house".utf8)
        try put("in/more/27.txt", "a blue house".utf8)
        try putImage("in/more/27.png")
        let captioned = try examples.run(
            "train", ["stage-c", "other"] + command.dropFirst(2) + ["--subfolders"])
        #expect(captioned.status == 0, "\(captioned.errors)")
        for words in ["images      2", "captions    2", "held out    none"] {
            #expect(captioned.errors.contains(words), "\(captioned.errors)")
        }
    }

    @Test("A folder without captions is refused, with advice that the command can follow")
    func withoutCaptions() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try putImage("in/0.png", side: 256)
        func refused(_ command: [String], _ words: String, canDoWithout: Bool = false) throws {
            let made = try examples.run(
                command[0], Array(command.dropFirst()) + ["--images", "in"])
            #expect(made.status == 1, "\(command)")
            #expect(made.errors.contains(words), "\(command): \(made.errors)")
            #expect(
                made.errors.contains("--no-captions") == canDoWithout,
                "\(command): \(made.errors)")
            #expect(
                !FileManager.default.fileExists(atPath: folder.appendingPathComponent("out").path))
        }
        let couplings = ["distill", "couplings", "out", "--stage"]
        for command in [
            ["train", "lora", "out"], ["train", "cascade", "out"],
            ["distill", "lightning", "out", "--stage", "stage-c", "--steps", "2,1"],
            ["distill", "windows", "out", "--stage", "stage-b"], couplings + ["stage-c"],
        ] {
            try refused(command, "no caption")
        }
        try refused(couplings + ["stage-b"], "no caption", canDoWithout: true)
        try refused(
            ["train", "compressor-and-b", "out", "--side", "128"], "no caption", canDoWithout: true)
        // Files without a word in them are no captions either.
        for name in ["in/0.txt", "in/1.txt"] { try put(name, " \n".utf8) }
        try refused(couplings + ["stage-c"], "2 files are empty, such as 0.txt")
    }

    @Test("A step that needs too much memory is refused before anything is trained")
    func memory() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let command = ["stage-c", "out", "--steps", "1", "--batch", "2"]
        let refused = try examples.run("train", command + ["--memory-limit", "50M"])
        #expect(refused.status == 1, "\(refused.errors)")
        for words in ["training stage-c needs", "limit of 50 MB", "nothing smaller fits"] {
            #expect(refused.errors.contains(words), "\(refused.errors)")
        }
        #expect(!FileManager.default.fileExists(atPath: folder.appendingPathComponent("out").path))
    }

    @Test("A folder of nothing but folders is an error that names the option")
    func subfolders() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try putImage("in/cats/1.png")
        for command in [
            ["train", "stage-a", "out"], ["train", "stage-c", "out"],
            ["distill", "couplings", "out", "--stage", "stage-c"],
            ["distill", "decoder", "out"],
        ] {
            let made = try examples.run(
                command[0], Array(command.dropFirst()) + ["--images", "in"])
            #expect(made.status != 0)
            #expect(made.errors.contains("--subfolders"), "\(command): \(made.errors)")
        }
        for command in [
            ["train", "stage-a", "out"], ["distill", "couplings", "out", "--stage", "stage-c"],
        ] {
            let made = try examples.run(
                command[0], Array(command.dropFirst()) + ["--images", "nowhere"])
            #expect(made.status != 0 && made.errors.contains("nowhere is not there"))
            #expect(!made.errors.contains("Cocoa"), "\(made.errors)")
        }
    }

    @Test(
        "What is said about a folder needs one, and a share that leaves enough",
        arguments: [
            (["stage-c", "--subfolders"], "--images"),
            (["stage-c", "--held-out", "0.1"], "--images"),
            (["stage-a", "--images", ".", "--held-out", "0.6"], "from 0 to 0.5"),
            (["stage-a", "--images", ".", "--held-out", "nan"], "from 0 to 0.5"),
            (["cascade", "--images", ".", "--only", "stage-c"], "--start"),
            (["cascade", "--images", ".", "--keep", "0.5"], "--start"),
            (["cascade", "--images", ".", "--start", ".", "--size", "tiny"], "--size"),
            (["stage-c", "--keep-captions", "some.txt"], "for --keep"),
        ])
    func mistakes(_ arguments: [String], _ expected: String) throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let made = try examples.run("train", arguments + ["out"])
        #expect(made.status == 64 && made.errors.contains(expected), "\(made.errors)")
    }

    @Test("Couplings are made for whatever can be read, and not of changed captions")
    func couplings() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try put("in/0.txt", "a red house".utf8)
        try put("in/1.TXT", "a blue house".utf8)
        try put("in/2.txt", [0xFF, 0xFE, 0x61, 0x00])
        try put("in/._0.txt", [0, 5, 0x16, 7])
        try put("in/3.txt", [0xE9])
        try FileManager.default.createSymbolicLink(
            atPath: folder.appendingPathComponent("in/4.txt").path, withDestinationPath: "nowhere")
        func make(_ images: String, _ count: Int) throws -> ExamplesTests.Outcome {
            try examples.run(
                "distill", "couplings", "out", "--stage", "stage-c", "--images", images, "--count",
                "\(count)", "--per-file", "2", "--batch", "2", "--steps", "1", "--method", "euler")
        }
        let made = try make("in", 2)
        #expect(made.status == 0, "\(made.errors)")
        for words in [
            "captions  3", "not read  2 (not UTF-8", "such as 3.txt", "3.txt is not UTF-8", "4.txt",
        ] {
            #expect(made.errors.contains(words), "\(made.errors)")
        }
        let more = try make("./in/../in", 4)
        #expect(more.status == 0, "another way to write the same folder: \(more.errors)")
        try put("in/0.txt", "a green house".utf8)
        let changed = try make("in", 6)
        #expect(changed.status != 0)
        #expect(
            changed.errors.contains("other settings (conditions, source 3 captions"),
            "\(changed.errors)")
    }

    @Test("Parts that do not fit are refused before anything is trained, all at once")
    func misfits() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try put(
            "c.json", #"{"c": 24, "c_cond": 99, "c_in": 4, "c_r": 8, "depth": 1, "nhead": 3}"#.utf8)
        let stageC = try train("stage-c", "out", "--configuration", "c.json")
        #expect(stageC.status == 1, "no trap")
        for words in [
            "3 things do not fit", "99 channels (c_cond)", "4 channels (c_in)", "preview decoder",
        ] {
            #expect(stageC.errors.contains(words), "\(stageC.errors)")
        }
        try put("b.json", #"{"clip_embd": 99, "effnet_embd": 12, "c_in": 3, "c_out": 3}"#.utf8)
        let stageB = try train("compressor-and-b", "out", "--configuration", "b.json")
        #expect(stageB.status == 1, "no trap")
        for words in ["3 things do not fit", "clip_embd", "effnet_embd", "latent_channels"] {
            #expect(stageB.errors.contains(words), "\(stageB.errors)")
        }
        #expect(!FileManager.default.fileExists(atPath: folder.appendingPathComponent("out").path))

        // The encoder of a checkpoint of other widths.
        let checkpoint = try examples.checkpoint()
        let encoder = try train("stage-c", "out", "--text", "\(checkpoint)/wuerstchen-prior")
        #expect(encoder.status == 1 && encoder.errors.contains("c_cond"), "\(encoder.errors)")
    }

    @Test("An evaluation measures a folder's held-out images, whatever they show")
    func evaluation() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let drawn = try examples.run("scenes", ["in", "--count", "24"])
        #expect(drawn.status == 0, "\(drawn.errors)")
        let measure = [
            "--images", "in", "--count", "2", "--only", "renders", "--only", "preview",
        ]
        let made = try examples.run(
            "evaluate", measure + ["--held-out", "0.2", "--sheet", "sheet.png"])
        #expect(made.status == 0, "\(made.errors)")
        let lines = made.output.split(separator: "\n")
        #expect(lines.count == 3, "\(made.output)")
        #expect(lines[1].hasPrefix("images") && lines[1].contains("–"))
        #expect(lines[2].hasPrefix("compressor → preview") && lines[2].contains("%"))
        #expect(
            FileManager.default.fileExists(atPath: folder.appendingPathComponent("sheet.png").path))
        let none = try examples.run("evaluate", measure + ["--held-out", "0"])
        #expect(none.status != 0 && none.errors.contains("holds out 0 images"), "\(none.errors)")
    }
}
