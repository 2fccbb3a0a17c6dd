import Foundation
import Testing
import Wuerstchen
import WuerstchenTraining

/// Runs the examples as a user would, on small random checkpoints.
@Suite("Examples", .serialized) struct ExamplesTests {
    /// What a finished process left.
    struct Outcome {
        let status: Int32
        let output: String
        let errors: String
    }

    /// The built executables lie beside the tests.
    static let products = URL(fileURLWithPath: CommandLine.arguments[0])
        .deletingLastPathComponent()

    let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "examples-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    func run(_ example: String, _ arguments: String...) throws -> Outcome {
        try run(example, arguments)
    }

    func run(
        _ example: String, _ arguments: [String], environment: [String: String] = [:]
    ) throws -> Outcome {
        let process = Process()
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.executableURL = Self.products.appendingPathComponent(example)
        process.arguments = arguments
        process.currentDirectoryURL = folder
        // Files rather than pipes: a full pipe would stop the process.
        let output = folder.appendingPathComponent("output.txt")
        let errors = folder.appendingPathComponent("errors.txt")
        for file in [output, errors] { try Data().write(to: file) }
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        try process.run()
        process.waitUntilExit()
        return Outcome(
            status: process.terminationStatus,
            output: try String(contentsOf: output, encoding: .utf8),
            errors: try String(contentsOf: errors, encoding: .utf8))
    }

    func checkpoint() throws -> String {
        let written = try run("random-checkpoint", "checkpoint", "--size", "small")
        #expect(written.status == 0, "\(written.errors)")
        return folder.appendingPathComponent("checkpoint").path
    }

    @Test("A sentence becomes an image of the size asked for, with the request inside")
    func image() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let made = try run(
            "text-to-image", "a red house, naïve 🎨", "--checkpoint", try checkpoint(), "--width",
            "200", "--height", "131", "--stage-c-steps", "2", "--stage-b-steps", "2", "--seed", "7",
            "--count", "2", "--previews", "previews", "--output", "house.png")
        #expect(made.status == 0, "\(made.errors)")
        #expect(made.errors.contains("Stage C 2/2"))
        for (number, seed) in [(1, "7"), (2, "8")] {
            let (image, text, _) = try Image.read(
                contentsOf: folder.appendingPathComponent("house-\(number).png"))
            #expect(image.size == ImageSize(width: 200, height: 131))
            #expect(text["prompt"] == "a red house, naïve 🎨")
            #expect(text["seed"] == seed)
            #expect(text["checkpoint"] == "checkpoint")
        }
        let previews = try FileManager.default.contentsOfDirectory(
            atPath: folder.appendingPathComponent("previews").path)
        #expect(previews.count == 4)
    }

    @Test("The preview decoder and quietness are a flag each")
    func preview() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let made = try run(
            "text-to-image", "a boat", "--checkpoint", try checkpoint(), "--width", "128",
            "--height", "128", "--stage-c-steps", "2", "--decoder", "preview", "--quiet")
        #expect(made.status == 0, "\(made.errors)")
        #expect(made.errors.isEmpty && made.output.isEmpty)
        let image = try Image(contentsOf: folder.appendingPathComponent("image.png"))
        #expect(image.size == ImageSize(width: 128, height: 128))
    }

    @Test(
        "Mistakes give one clear line and a status other than 0",
        arguments: [
            ("--checkpoint=nowhere", "nowhere"), ("--width=100", "100"),
            ("--height=0", "each side"), ("--stage-c-steps=0", "0 sampling steps"),
            ("--stage-c-guidance=nan", "guidance"), ("--count=-1", "--count is -1"),
            ("--output=no/such/folder/image.png", "no/such/folder"),
            ("--threads=0", "--threads"), ("--decoder=magic", "magic"),
            ("--previews=/dev/null/x", "/dev/null is not there or not a folder"),
        ])
    func mistakes(_ option: String, _ expected: String) throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        // The last of two --checkpoint counts.
        let made = try run(
            "text-to-image", "a boat", "--checkpoint", try checkpoint(), option)
        #expect(made.status != 0)
        #expect(made.errors.contains(expected), "\(made.errors)")
        #expect(
            !FileManager.default.fileExists(
                atPath: folder.appendingPathComponent("image.png").path))
    }

    @Test("The stages chained by hand give a preview and an image")
    func chain() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let made = try run("chain-stages", try checkpoint(), "a tree")
        #expect(made.status == 0, "\(made.errors)")
        let image = try Image(contentsOf: folder.appendingPathComponent("image.png"))
        #expect(image.size == ImageSize(width: 256, height: 256))
        #expect(
            FileManager.default.fileExists(
                atPath: folder.appendingPathComponent("preview.png").path))
    }

    @Test(
        "A training that is killed at any moment goes on to the numbers that it would have reached")
    func killedTraining() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let configuration = folder.appendingPathComponent("tiny.json")
        try Data(#"{"embed_dim": 8, "bottleneck_blocks": 1, "num_vq_embeddings": 4}"#.utf8)
            .write(to: configuration)
        func arguments(_ output: String, _ more: String...) -> [String] {
            [
                "stage-a", output, "--configuration", configuration.path, "--crop", "16",
                "--steps", "60", "--batch", "2", "--checkpoint-interval", "0", "--precision",
                "float32",
            ] + more
        }
        let whole = try run("train", arguments("whole"))
        #expect(whole.status == 0, "\(whole.errors)")
        func begun() -> Bool {
            let state = folder.appendingPathComponent("killed/state.safetensors")
            return FileManager.default.fileExists(atPath: state.path)
        }
        // With a checkpoint after every step, many of the kills hit the writing of one.
        var kills = 0
        for delay in [300, 250, 350, 270, 410, 330, 290, 370] {
            let process = Process()
            process.executableURL = Self.products.appendingPathComponent("train")
            process.arguments = begun() ? arguments("killed", "--resume") : arguments("killed")
            process.currentDirectoryURL = folder
            process.standardError = FileHandle.nullDevice
            try process.run()
            while !begun(), process.isRunning { Thread.sleep(forTimeInterval: 0.02) }
            Thread.sleep(forTimeInterval: Double(delay) / 1000)
            if process.isRunning {
                kill(process.processIdentifier, SIGKILL)
                kills += 1
            }
            process.waitUntilExit()
        }
        #expect(kills > 0)
        let rest = try run("train", arguments("killed", "--resume"))
        #expect(rest.status == 0, "\(rest.errors)")
        let states = try ["whole", "killed"].map {
            try TrainingState(
                contentsOf: folder.appendingPathComponent("\($0)/state.safetensors"))
        }
        #expect(states[0].step == 60 && states[1].step == 60)
        for (name, value) in states[0].parameters.values {
            #expect(value.elements == states[1].parameters.values[name]?.elements, "\(name)")
        }
        let again = try run("train", arguments("whole"))
        #expect(again.status != 0)
        #expect(again.errors.contains("resume"), "\(again.errors)")
        let other = try run("train", arguments("whole", "--resume", "--rate", "0.01"))
        #expect(other.status != 0)
        #expect(other.errors.contains("rate, peak 0.001 (not 0.01)"), "\(other.errors)")
    }

    @Test("A finished training is resumed as it was begun, or its export stays as it is")
    func otherTraining() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        func configuration(_ codes: Int) throws -> String {
            let file = folder.appendingPathComponent("\(codes).json")
            try Data(
                #"{"embed_dim": 8, "bottleneck_blocks": 1, "num_vq_embeddings": \#(codes)}"#.utf8
            )
            .write(to: file)
            return file.path
        }
        func train(_ more: String..., codes: Int = 4, crop: Int = 16) throws -> Outcome {
            try run(
                "train",
                [
                    "stage-a", "a", "--configuration", configuration(codes), "--crop", "\(crop)",
                    "--steps", "2", "--batch", "2",
                ] + more)
        }
        func contents() throws -> [String: Data] {
            let files = ["state.safetensors", "checkpoint/wuerstchen/vqgan/config.json"]
            return try files.reduce(into: [:]) {
                $0[$1] = try Data(contentsOf: folder.appendingPathComponent("a/\($1)"))
            }
        }
        let early = try train("--resume")
        #expect(early.status != 0 && early.errors.contains("no training to resume"))
        #expect(try train().status == 0)
        let before = try contents()
        let refused: [(Outcome, String)] = [
            (try train("--resume", codes: 8), "configuration, codes 4 (not 8)"),
            (try train("--resume", crop: 32), "images, crop 16 (not 32)"),
            (try train("--resume", "--adversary", "0.05"), "weight nothing (not 0.05)"),
            (try train("--resume", "--optimizer", "muon"), "optimizer, name adamw (not muon)"),
            (try train("--resume", "--images", "."), "no image"),
        ]
        for (outcome, words) in refused {
            #expect(outcome.status != 0 && outcome.errors.contains(words), "\(outcome.errors)")
        }
        #expect(try contents() == before)
        #expect(try train("--resume").status == 0)
        #expect(try contents() == before)
    }

    @Test("Nobody's own checkpoint is taken for one that draws scenes")
    func ownCheckpoint() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let others = [
            ["distill", "couplings", "out", "--stage", "stage-c"], ["distill", "decoder", "out"],
            ["evaluate"],
        ].map { $0 + ["--checkpoint", "checkpoint"] }
        let parts = ["stage-a", "compressor-and-b", "stage-c", "preview"].map {
            ["train", $0, "out", "--start", "checkpoint"]
        }
        for arguments in others + parts {
            let made = try run(arguments[0], Array(arguments.dropFirst()))
            #expect(made.status == 64, "\(arguments)")
            for words in ["checkpoint is not the small cascade", "--images", "--scenes"] {
                #expect(made.errors.contains(words), "\(made.errors)")
            }
            #expect(
                !FileManager.default.fileExists(atPath: folder.appendingPathComponent("out").path))
        }
    }

    @Test("Stages are distilled, and their students stand in for them")
    func distill() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        func expect(_ outcome: Outcome, _ words: String = "") {
            #expect(outcome.status == 0, "\(outcome.errors)")
            #expect(words.isEmpty || outcome.errors.contains(words), "\(outcome.errors)")
        }
        for stage in ["stage-c", "stage-b"] {
            func distill(_ command: String, _ output: String, _ more: String...) throws -> Outcome {
                try run(
                    "distill", [command, "\(stage)/\(output)", "--stage", stage] + more)
            }
            expect(
                try distill(
                    "couplings", "pairs", "--count", "6", "--per-file", "4", "--steps", "2",
                    "--stage-c-steps", "2", "--batch", "4"), "0 refused")
            let (pairs, student) = ("\(stage)/pairs", "\(stage)/reflow/student")
            expect(
                try distill(
                    "reflow", "reflow", "--couplings", pairs, "--steps", "2", "--batch", "2",
                    "--keep-attention"), "stage-\(stage.suffix(1))-reflow")
            let others = try distill(
                "one-step", "one", "--couplings", pairs, "--\(stage)", student, "--steps", "2")
            #expect(others.status != 0 && others.errors.contains("another teacher"))
            expect(
                try distill(
                    "couplings", "straight", "--\(stage)", student, "--count", "4", "--per-file",
                    "4", "--steps", "2", "--stage-c-steps", "2", "--batch", "4"), "0 refused")
            expect(
                try distill(
                    "one-step", "one", "--couplings", "\(stage)/straight", "--\(stage)", student,
                    "--steps", "2", "--batch", "2", "--keep-attention"))
            let again = try distill("reflow", "reflow", "--couplings", pairs, "--steps", "2")
            #expect(again.status != 0 && again.errors.contains("resume"), "\(again.errors)")
            let files = try FileManager.default.contentsOfDirectory(
                atPath: folder.appendingPathComponent("\(stage)/one/student").path)
            #expect(files.sorted() == ["config.json", "differences.safetensors"])
        }
        let wrong = try run(
            "distill", "reflow", "wrong", "--stage", "stage-b", "--couplings", "stage-c/pairs")
        #expect(wrong.status != 0 && wrong.errors.contains("couplings of stage-c"))
        // A smaller one, which goes on against an adversary, and a smaller Stage A.
        let small = ["--stage", "stage-b", "--steps", "1", "--batch", "2"]
        expect(
            try run(
                "distill",
                [
                    "one-step", "small", "--couplings", "stage-b/straight", "--stage-b",
                    "stage-b/reflow/student", "--blocks", "1,1,2", "--without-attention",
                ] + small))
        let mixed = try run(
            "distill",
            ["one-step", "x", "--couplings", "stage-b/pairs", "--blocks", "1,1"] + small)
        #expect(mixed.status != 0 && mixed.errors.contains("3 numbers"), "\(mixed.errors)")
        expect(
            try run(
                "distill",
                [
                    "one-step", "sharp", "--couplings", "stage-b/pairs", "--start",
                    "small/student", "--adversary", "0.01",
                ] + small))
        expect(
            try run(
                "distill", "decoder", "pixels", "--bottleneck-blocks", "1", "--crop", "32",
                "--steps", "1", "--batch", "2"))
        expect(
            try run(
                "text-to-image", "a boat", "--stage-c", "stage-c/one/student", "--stage-b",
                "sharp/student", "--stage-a", "pixels/student"), "Stage B 1/1")
        let (image, text, _) = try Image.read(
            contentsOf: folder.appendingPathComponent("image.png"))
        #expect(image.size == ImageSize(width: 256, height: 256))
        #expect(text["stage C steps"] == "1" && text["stage B sampling"] == "euler")
        let misused = try run(
            "text-to-image", "a boat", "--stage-c", "stage-c/one/student", "--stage-c-steps", "8")
        #expect(misused.status != 0 && misused.errors.contains("one step"), "\(misused.errors)")
    }

    @Test("Each student of a progressive distillation is the next one's teacher, and all are found")
    func lightning() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        func distill(_ output: String, _ more: String...) throws -> Outcome {
            try run(
                "distill",
                ["lightning", output, "--teacher-steps", "4", "--iterations", "1", "--batch", "2"]
                    + ["--adversarial-iterations", "2"] + more)
        }
        for stage in ["stage-c", "stage-b"] {
            let made = try distill(stage, "--stage", stage, "--steps", "2,1")
            #expect(made.status == 0, "\(made.errors)")
            for name in ["\(stage)-2-steps", "\(stage)-1-steps", "adversary"] {
                #expect(made.errors.contains(name), "\(made.errors)")
            }
        }
        let resumed = try distill("stage-c", "--stage", "stage-c", "--steps", "2,1", "--resume")
        #expect(resumed.status == 0, "\(resumed.errors)")
        let others = try distill("stage-c", "--stage", "stage-c", "--steps", "2,1")
        #expect(others.status != 0 && others.errors.contains("resume"), "\(others.errors)")
        let adapted = try distill(
            "lora", "--stage", "stage-c", "--teacher-steps", "8", "--steps", "4,2", "--lora", "4")
        #expect(adapted.status == 0, "\(adapted.errors)")
        let refused = try distill("x", "--stage", "stage-c", "--steps", "8,3")
        #expect(refused.status != 0 && refused.errors.contains("cannot teach 3"))
        let windows = try run(
            "distill",
            [
                "windows", "windows", "--stage", "stage-b", "--windows", "2", "--teacher-steps",
                "2", "--iterations", "1", "--batch", "2",
            ])
        #expect(windows.status == 0, "\(windows.errors)")
        let students = ["--stage-c", "stage-c", "--stage-b", "windows"]
        let image = try run(
            "text-to-image",
            ["a boat", "--stage-c-steps", "1", "--stage-b-steps", "4"] + students)
        #expect(image.status == 0 && image.errors.contains("Stage B 4/4"), "\(image.errors)")
        for (steps, words) in [("3", "2, 1"), ("8", "2, 1")] {
            let wrong = try run("text-to-image", ["a boat", "--stage-c-steps", steps] + students)
            #expect(wrong.status != 0 && wrong.errors.contains(words), "\(wrong.errors)")
        }
    }

    @Test("Scenes come with captions of the same names, the same for the same seed")
    func scenes() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        for (name, options) in [
            ("one", []), ("two", []), ("three", ["--seed", "8"]), ("four", ["--held-out"]),
        ] {
            let drawn = try run("scenes", [name, "--count", "2", "--seed", "7"] + options)
            #expect(drawn.status == 0, "\(drawn.errors)")
            #expect(drawn.errors.isEmpty && drawn.output.isEmpty, "quiet without a terminal")
            let names = try FileManager.default.contentsOfDirectory(
                atPath: folder.appendingPathComponent(name).path)
            #expect(names.sorted() == ["000000.png", "000000.txt", "000001.png", "000001.txt"])
        }
        func scene(_ name: String) throws -> (image: Image, caption: String) {
            let file = folder.appendingPathComponent(name).appendingPathComponent("000001")
            return (
                try Image(contentsOf: file.appendingPathExtension("png")),
                try String(contentsOf: file.appendingPathExtension("txt"), encoding: .utf8)
            )
        }
        let first = try scene("one")
        #expect(first.image.size == ImageSize(width: 256, height: 256))
        #expect(first.caption.count > 5 && first.caption.hasSuffix("\n"))
        #expect(try scene("two") == first)
        #expect(try scene("three").image != first.image)
        #expect(try scene("four").image != first.image)
        let refused = try run("scenes", "/dev/null/x", "--count", "1")
        #expect(refused.status != 0 && refused.errors.contains("/dev/null/x"))
    }

    @Test(
        "Training that cannot be meant gives one clear line and trains nothing",
        arguments: [
            (["stage-c", "--side", "512"], "--images"),
            (["stage-a", "--images", ".", "--side", "512"], "--crop"),
            (["stage-c", "--images", ".", "--side", "100"], "multiple of 128"),
            (["stage-a", "--checkpoint-interval=-1"], "checkpoints every -1.0 seconds"),
            (["compressor-and-b", "--compressor-network", "resnet"], "efficientnet"),
            (
                ["compressor-and-b", "--compressor", "x", "--compressor-network", "residual"],
                "--compressor-network"
            ),
            (["stage-c", "--configuration", "/dev/null"], "/dev/null"),
        ])
    func trainingMistakes(_ arguments: [String], _ expected: String) throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let made = try run("train", arguments + ["trained"])
        #expect(made.status != 0)
        #expect(made.errors.contains(expected), "\(made.errors)")
        #expect(
            !FileManager.default.fileExists(
                atPath: folder.appendingPathComponent("trained/state.safetensors").path))
    }

    @Test("Stage C is trained on a folder of images, with activations computed anew")
    func trainStageC() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let configuration = folder.appendingPathComponent("tiny.json")
        try Data(#"{"c": 24, "c_cond": 128, "c_r": 8, "depth": 1, "nhead": 3}"#.utf8)
            .write(to: configuration)
        // Drawing scenes would take longer than everything else.
        let images = folder.appendingPathComponent("images")
        try FileManager.default.createDirectory(at: images, withIntermediateDirectories: false)
        for number in 0..<2 {
            let image = try Image(
                width: 128, height: 128,
                pixels: (0..<3 * 128 * 128).map { UInt8(truncatingIfNeeded: $0 >> (5 + number)) })
            try image.write(to: images.appendingPathComponent("\(number).png"))
            try Data("stripes \(number)".utf8)
                .write(to: images.appendingPathComponent("\(number).txt"))
        }
        let trained = try run(
            "train", "stage-c", "trained", "--configuration", configuration.path, "--steps", "2",
            "--batch", "2", "--images", "images", "--side", "128", "--recompute")
        #expect(trained.status == 0, "\(trained.errors)")
        let folder = folder.appendingPathComponent("trained")
        #expect(
            try TrainingState(contentsOf: folder.appendingPathComponent("state.safetensors")).step
                == 2)
        let stage = folder.appendingPathComponent("checkpoint/wuerstchen-prior/prior")
        #expect(
            FileManager.default.fileExists(
                atPath: stage.appendingPathComponent("config.json").path))
    }

    @Test("An evaluation says how well images are read back, gate by gate")
    func evaluate() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let made = try run(
            "evaluate", "--only", "renders", "--only", "preview", "--count", "2", "--references",
            "2")
        #expect(made.status == 0, "\(made.errors)")
        let lines = made.output.split(separator: "\n")
        #expect(lines.count == 3, "\(made.output)")
        /// A row's name and its cells by the header's names.
        func row(_ line: Substring) -> (name: String, cells: [String: String]) {
            let cells = line.dropFirst(24).split(separator: " ").map(String.init)
            let names = lines[0].split(separator: " ").dropFirst().map(String.init)
            #expect(cells.count == names.count)
            return (
                line.prefix(24).trimmingCharacters(in: .whitespaces),
                Dictionary(zip(names, cells)) { $1 }
            )
        }
        let (renders, preview) = (row(lines[1]), row(lines[2]))
        #expect(renders.name == "renders" && preview.name == "compressor → preview")
        for (row, name, least) in [
            (renders, "mean", 85.0), (renders, "object", 100), (preview, "mean", 60),
        ] {
            let share = try #require(row.cells[name].flatMap(Double.init))
            #expect(share >= least && share <= 100, "\(row.name), \(name)")
        }
        // Images are not compared with themselves.
        #expect(renders.cells["PSNR"] == "–")
        let likeness = try #require(preview.cells["PSNR"].flatMap(Double.init))
        #expect(likeness > 15 && likeness < 45)
        for row in [renders, preview] {
            let distance = try #require(row.cells["FD"].flatMap(Double.init))
            #expect(distance > 0 && distance.isFinite)
        }
    }

    @Test("Help and version are there")
    func help() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let help = try run("text-to-image", "--help")
        #expect(help.status == 0 && help.output.contains("--stage-c-guidance"))
        let version = try run("text-to-image", "--version")
        #expect(version.status == 0 && version.output.contains("OpenBLAS"))
    }
}
