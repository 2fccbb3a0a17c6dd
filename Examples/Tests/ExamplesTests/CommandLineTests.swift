import Foundation
import Testing
import Wuerstchen

/// Values that no option can take, and outputs that cannot be written: told before any work, with
/// nothing left behind.
@Suite("Command lines", .serialized) struct CommandLineTests {
    private let examples: ExamplesTests
    private var folder: URL { examples.folder }

    init() throws { examples = try ExamplesTests() }

    private func run(_ arguments: [String]) throws -> ExamplesTests.Outcome {
        try examples.run(arguments[0], Array(arguments.dropFirst()))
    }

    private func put(_ name: String, _ text: String) throws {
        let file = folder.appendingPathComponent(name)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
    }

    private func files() throws -> Set<String> {
        Set(try FileManager.default.contentsOfDirectory(atPath: folder.path))
            .subtracting(["output.txt", "errors.txt"])
    }

    private static let draw = ["text-to-image", "a boat"]
    private static let edit = draw + ["--image", "in/0.png"]
    private static let train = ["train", "stage-a", "out"]
    private static let lora = ["train", "lora", "out", "--images", "in"]
    private static let cascade = ["train", "cascade", "out", "--images", "in"]
    private static let couplings = ["distill", "couplings", "out", "--stage", "stage-c"]
    private static let lightning = [
        "distill", "lightning", "out", "--stage", "stage-c", "--steps", "2,1",
    ]
    private static let windows = ["distill", "windows", "out", "--stage", "stage-c"]

    /// Options, and what the error says of their value.
    private static let options: [([String], String, String)] = [
        (draw, "--width", "128 to 4096"), (draw, "--height", "128 to 4096"),
        (draw, "--count", "--count is -1"), (draw, "--steps", "--steps must be from 1"),
        (draw, "--stage-c-steps", "-1 sampling steps"), (draw, "--seam", "--image"),
        (draw, "--stage-b-steps", "-1 sampling steps"), (draw, "--stage-b-seed", "'-1'"),
        (draw, "--guidance-rescale", "rescaled by -1.0"), (draw, "--threads", "--threads is -1"),
        (draw, "--memory-limit", "'-1'"), (edit, "--strength", "strength of -1.0"),
        (train, "--steps", "--steps must be 1"), (train, "--batch", "--batch 1 to"),
        (train, "--micro-batch", "--micro-batch"), (train, "--shards", "-1 shards"),
        (train, "--rate", "a learning rate of -1.0"), (train, "--decay", "a weight decay of -1.0"),
        (train, "--average", "of which -1.0 stays"), (train, "--threads", "--threads must"),
        (train, "--checkpoint-interval", "every -1.0 seconds"), (train, "--crop", "--crop is -1"),
        (train, "--adversary", "--adversary is -1"), (train, "--keep", "--keep must be"),
        (lora, "--rank", "rank -1"), (lora, "--side", "--side is -1"),
        (lora, "--held-out", "--held-out must be"), (lora, "--keep-tags", "--keep-tags"),
        (cascade, "--hours", "--hours must be"), (cascade, "--batch", "--batch must be"),
        (["train", "miniature", "out"], "--length", "--length must be"),
        (["train", "miniature", "out"], "--adversary", "--adversary is -1"),
        (["train", "compressor-and-b", "out"], "--adversary", "--adversary is -1"),
        (couplings, "--count", "--count must be"), (couplings, "--per-file", "--per-file 1"),
        (couplings, "--caption-dropout", "a share of -1.0"), (couplings, "--side", "256 pixels"),
        (lightning, "--teacher-steps", "a teacher of -1 steps"),
        (lightning, "--iterations", "--iterations and"), (lightning, "--lora", "--lora must be"),
        (lightning, "--adversarial-rate", "a learning rate of -1.0"),
        (windows, "--windows", "students of -1 steps"),
        (["distill", "decoder", "out"], "--bottleneck-blocks", "-1 groups"),
        (["evaluate"], "--count", "--count must be"), (["evaluate"], "--rounds", "--rounds must"),
        (["evaluate"], "--references", "--references must be"),
        (["evaluate"], "--stage-c-steps", "-1 sampling steps"),
        (["scenes", "out"], "--count", "--count must be"),
    ]

    @Test("A negative number is a value, which every option of numbers refuses by name")
    func negativeNumbers() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try putImages()
        for (command, option, words) in Self.options {
            let made = try run(command + [option, "-1"])
            let what = "\(command) \(option): \(made.errors)"
            #expect(made.status == 1 || made.status == 64, "\(what)")
            #expect(made.errors.contains(words), "\(what)")
            #expect(!made.errors.contains("Missing value"), "\(what)")
            #expect(try files() == ["in"], "\(what)")
        }
    }

    @Test("An interval that is none is told what one is")
    func intervals() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        for (interval, words) in [
            ("0.8-0.2", "0.2-0.8"), ("0.2", "two times"), ("0.2-x", "two times"),
            ("-0.2-0.8", "two times"), ("0.1-0.2-0.3", "two times"),
        ] {
            let made = try run(["text-to-image", "a house", "--guidance-interval", interval])
            #expect(made.status == 64 && made.errors.contains(words), "\(made.errors)")
            #expect(try files().isEmpty)
        }
    }

    @Test("So is what is no number, or beyond all of them", arguments: ["nan", "1e99", "-inf"])
    func strangeNumbers(_ value: String) throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try putImages()
        for (command, option) in [
            (Self.draw, "--stage-c-guidance"), (Self.draw, "--stage-b-guidance"),
            (Self.draw, "--guidance-rescale"), (Self.edit, "--strength"), (Self.train, "--rate"),
            (Self.train, "--decay"), (Self.train, "--average"), (Self.train, "--adversary"),
            (Self.train, "--keep"), (Self.lora, "--alpha"), (Self.lora, "--held-out"),
            (Self.cascade, "--hours"), (["train", "miniature", "out"], "--length"),
            (Self.couplings, "--guidance"), (Self.couplings, "--caption-dropout"),
            (Self.lightning, "--guidance"), (Self.lightning, "--adversarial-rate"),
            (["evaluate"], "--stage-c-guidance"),
        ] {
            let made = try run(command + [option, value])
            let what = "\(command) \(option): \(made.errors)"
            #expect(made.status == 1 || made.status == 64, "\(what)")
            #expect(!made.errors.contains("Missing value"), "\(what)")
            #expect(try files() == ["in"], "\(what)")
        }
        for option in ["--count", "--width", "--stage-c-steps", "--seed"] {
            let made = try run(Self.draw + [option, value])
            #expect(made.status == 64 && made.errors.contains("'\(value)'"), "\(made.errors)")
        }
    }

    @Test("An option without its value is told from one with a strange value")
    func missingValue() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        for (arguments, words) in [
            (["--count", "--seed", "3"], "Missing value for '--count"),
            (["--count"], "Missing value for '--count"), (["--nosuch", "-1"], "--nosuch"),
            (["--quiet", "-1"], "Unexpected argument '-1'"),
        ] {
            let made = try run(Self.draw + arguments)
            #expect(made.status == 64 && made.errors.contains(words), "\(made.errors)")
        }
        // Behind a flag it is a prompt, whichever flag that is.
        let estimated = try run(["text-to-image", "--fast", "--estimate-memory", "-house"])
        #expect(estimated.status == 0, "\(estimated.errors)")
        let tiny = try run(["train-tiny", "-1"])
        #expect(tiny.status == 64 && tiny.output.contains("-1 is no number"), "\(tiny.output)")
    }

    @Test("Whether something can be written is found out before it is made")
    func unwritable() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let quick = Self.draw + ["--stage-c-steps", "10000", "--output"]
        var commands = [
            quick + ["nowhere/x.png"], quick + ["x.png", "--sheet", "nowhere/x.html"],
            Self.draw + ["--save-embeddings", "nowhere/x.safetensors"],
            ["evaluate", "--sheet", "nowhere/x.png"], ["evaluate", "--sheet", "x.gif"],
            ["evaluate", "--export", "/dev/null/x"],
        ]
        #if os(Linux)
        // Where permissions say yes, and no file can be.
        commands += [quick + ["/proc/x.png"], quick + ["x.png", "--previews", "/proc/x"]]
        #endif
        for command in commands {
            let made = try run(command)
            #expect(made.status == 1 || made.status == 64, "\(command): \(made.errors)")
            #expect(made.errors.contains("Error: "), "\(command): \(made.errors)")
            #expect(try files().isEmpty, "\(command)")
        }
    }

    @Test("So is a name that no file can be written under")
    func impossibleNames() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        for ending in ["png", "html", "safetensors"] {
            try FileManager.default.createSymbolicLink(
                atPath: folder.appendingPathComponent("link.\(ending)").path,
                withDestinationPath: "nowhere/x")
            try FileManager.default.createDirectory(
                at: folder.appendingPathComponent("folder.\(ending)"),
                withIntermediateDirectories: false)
        }
        let before = try files()
        let quick = Self.draw + ["--stage-c-steps", "10000", "--output", "x.png"]
        for (name, words) in [
            ("link", "is a link to a file that does not exist"), ("folder", "is a folder"),
            (String(repeating: "x", count: 300), "a file's name has up to 255"),
        ] {
            for command in [
                quick + ["--sheet", "\(name).html"], quick + ["--sheet", "\(name).png"],
                ["evaluate", "--sheet", "\(name).html"], ["evaluate", "--sheet", "\(name).png"],
                Self.draw + ["--save-embeddings", "\(name).safetensors"],
            ] {
                let made = try run(command)
                #expect(made.status == 1, "\(command): \(made.errors)")
                #expect(made.errors.contains(words), "\(command): \(made.errors)")
                #expect(try files() == before, "\(command)")
            }
        }
    }

    @Test("What cannot go on leaves no folder behind")
    func nothingBegun() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try putImages()
        for command in [
            Self.train, Self.lora, ["train", "compressor-and-b", "out"], Self.lightning,
        ] {
            let made = try run(command + ["--resume"])
            #expect(made.status == 1, "\(made.errors)")
            #expect(made.errors.contains("no training to resume"), "\(command): \(made.errors)")
            #expect(try files() == ["in"], "\(command)")
        }
    }

    @Test("Prompts are read as editors and programs write them")
    func prompts() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let quick = [
            "text-to-image", "--width", "128", "--height", "128", "--stage-c-steps", "1",
            "--decoder", "preview", "--seed", "1", "--output", "{number}.png",
        ]
        // A mark in front, line ends of other systems, and one that JSON has within texts.
        try put(
            "prompts.txt",
            "\u{FEFF}{\"prompt\": \"a\u{2028}house\"}\r\n\r\na boat\ra tree\n")
        let made = try run(quick + ["--prompts", "prompts.txt"])
        #expect(made.status == 0, "\(made.errors)")
        let prompts = try (1...3).map {
            try GenerationRecord(contentsOf: folder.appendingPathComponent("\($0).png")).prompt
        }
        #expect(prompts == ["a\u{2028}house", "a boat", "a tree"])
        try Data([0xFF, 0xFE, 0x61, 0]).write(to: folder.appendingPathComponent("wide.txt"))
        var refused = [("nowhere.txt", "nowhere.txt is not there"), ("wide.txt", "UTF-8")]
        #if os(Linux)
        refused += [("/dev/zero", "/dev/zero is no list"), ("/dev/null", "no prompt")]
        #endif
        for (name, words) in refused {
            let made = try run(quick + ["--prompts", name])
            #expect(made.status == 1 && made.errors.contains(words), "\(made.errors)")
        }
    }

    @Test("A file in place of a configuration is named for what it is")
    func foreignConfigurations() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try put("pointer.json", "version https://git-lfs.github.com/spec/v1\nsize 3\n")
        try put("other.json", #"{"_class_name": "UNet2DConditionModel"}"#)
        for (name, words) in [
            ("pointer.json", "git-lfs"), ("other.json", "UNet2DConditionModel"),
            ("nowhere.json", "file not found"), (".", "not a regular file"),
        ] {
            for part in ["stage-a", "stage-c", "compressor-and-b"] {
                let made = try run(["train", part, "out", "--configuration", name])
                #expect(made.status == 1 && made.errors.contains(words), "\(made.errors)")
            }
        }
    }

    private func putImages() throws {
        for number in 0..<2 {
            try put("in/\(number).txt", "stripes \(number)")
            try Image(
                width: 128, height: 128,
                pixels: (0..<3 * 128 * 128).map { UInt8(truncatingIfNeeded: $0 >> (5 + number)) }
            ).write(to: folder.appendingPathComponent("in/\(number).png"))
        }
    }
}
