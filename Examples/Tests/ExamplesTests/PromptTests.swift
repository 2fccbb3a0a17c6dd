import Foundation
import Testing
import Wuerstchen

/// What `text-to-image` reads from its command line and standard input.
extension ExamplesTests {
    private static let quick = [
        "--width", "128", "--height", "128", "--stage-c-steps", "1", "--decoder", "preview",
    ]

    private func prompt(of name: String) throws -> String? {
        try Image.read(contentsOf: folder.appendingPathComponent(name)).text["prompt"]
    }

    @Test("A seed of -1 is drawn, said and written down, and gives the same image again")
    func drawnSeed() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var seeds: Set<String> = []
        for name in ["a", "b"] {
            let made = try run(
                "text-to-image", ["a boat", "--seed", "-1", "--output", name] + Self.quick)
            #expect(made.status == 0, "\(made.errors)")
            let file = folder.appendingPathComponent("\(name).png")
            let (image, text, _) = try Image.read(contentsOf: file)
            let seed = try #require(text["seed"])
            #expect(made.errors.contains("seed \(seed),"), "\(made.errors)")
            seeds.insert(seed)
            let again = try run(
                "text-to-image", ["a boat", "--seed", seed, "--output", "again"] + Self.quick)
            #expect(again.status == 0, "\(again.errors)")
            #expect(try Image(contentsOf: folder.appendingPathComponent("again.png")) == image)
        }
        #expect(seeds.count == 2)
        let scenes = try run("scenes", "drawn", "--count", "1", "--seed", "-1")
        #expect(scenes.status == 0 && scenes.errors.hasPrefix("seed "), "\(scenes.errors)")
        let wrong = try run("text-to-image", "a boat", "--seed", "-2")
        #expect(wrong.status != 0 && wrong.errors.contains("-2"), "\(wrong.errors)")
    }

    @Test(
        "A prompt may begin with a dash, wherever it stands",
        arguments: ["-a red house", "--no people, a house", "-house", "- a list", "-h of a house"])
    func dash(_ prompt: String) throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        for arguments in [
            [prompt] + Self.quick, Self.quick + [prompt], Self.quick + ["--", prompt],
        ] {
            let made = try run("text-to-image", arguments)
            #expect(made.status == 0, "\(made.errors)")
            #expect(try self.prompt(of: "image.png") == prompt)
        }
        let negative = try run(
            "text-to-image", ["a house", "--negative", "-blurry, dark"] + Self.quick)
        #expect(negative.status == 0, "\(negative.errors)")
        let text = try Image.read(contentsOf: folder.appendingPathComponent("image.png")).text
        #expect(text["negative prompt"] == "-blurry, dark" && text["prompt"] == "a house")
    }

    @Test("Prompts come from standard input, and an image goes to standard output")
    func standardStreams() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let two = try pipe("a house\n\n  -a boat \r\n", ["-", "--output", "x"] + Self.quick)
        #expect(two.status == 0, "\(two.errors)")
        #expect(try prompt(of: "x-1.png") == "a house")
        #expect(try prompt(of: "x-2.png") == "-a boat")
        let one = try pipe("a tree", ["-", "--output", "-"] + Self.quick)
        #expect(one.status == 0, "\(one.errors)")
        try one.output.write(to: folder.appendingPathComponent("piped.png"))
        #expect(try prompt(of: "piped.png") == "a tree")
        #expect(!FileManager.default.fileExists(atPath: folder.appendingPathComponent("-").path))
        for (input, arguments, expected) in [
            ("", [], "no prompt"), ("\n \n", [], "no prompt"),
            ("a\nb", ["--output", "-"], "2 images cannot go to standard output"),
        ] {
            let refused = try pipe(input, ["-"] + arguments + Self.quick)
            #expect(refused.status != 0 && refused.output.isEmpty)
            #expect(refused.errors.contains(expected), "\(refused.errors)")
        }
    }

    @Test("Prompts that are not there are said to be missing")
    func missingPrompts() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let missing = try run("text-to-image", "--prompts", "no.txt")
        #expect(
            missing.status != 0
                && missing.errors.contains("file not found: no.txt is not there; check the path"),
            "\(missing.errors)")
        let folder = try run("text-to-image", "--prompts", ".")
        #expect(folder.status != 0 && folder.errors.contains("a text file"), "\(folder.errors)")
    }

    @Test("A prompt that is cut or that the model does not know is said to be")
    func findings() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let long = String(repeating: "red house ", count: 40)
        for (prompt, negative, notes) in [
            ("a red house", "", []),
            (long, "a tree", ["the prompt is longer"]),
            ("a house", long, ["the negative prompt is longer"]),
            ("a cat and a Dog in a red house", "", ["the model does not know: cat, dog"]),
        ] {
            let made = try run("text-to-image", [prompt, "--negative", negative] + Self.quick)
            #expect(made.status == 0, "\(made.errors)")
            for note in [
                "the prompt is longer", "the negative prompt is longer", "the model does not know",
            ] {
                let isSaid = notes.contains { $0.hasPrefix(note) }
                #expect(made.errors.contains(note) == isSaid, "\(note): \(made.errors)")
            }
            for note in notes { #expect(made.errors.contains(note), "\(made.errors)") }
        }
    }

    @Test("An impossible size is answered with the nearest, and a bold one with a warning")
    func sizes() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        for (option, expected) in [
            ("--height=100", "256×128"), ("--width=5000", "4096×256"), ("--width=-5", "128×256"),
        ] {
            let refused = try run("text-to-image", "a boat", option)
            #expect(refused.status != 0 && refused.errors.contains(expected), "\(refused.errors)")
        }
        for (width, isBold) in [("384", false), ("385", true)] {
            let made = try run(
                "text-to-image", "a boat", "--width", width, "--height", "128", "--stage-c-steps",
                "1", "--decoder", "preview")
            #expect(made.status == 0, "\(made.errors)")
            #expect(made.errors.contains("trained at 256×256") == isBold, "\(made.errors)")
        }
        for (command, option, expected) in [
            ("stage-c", "--side=200", "128 or 256"), ("stage-c", "--side=9000", "such as 4096"),
            ("stage-a", "--crop=100", "96 or 112"), ("stage-a", "--crop=3", "such as 16"),
        ] {
            let refused = try run("train", command, "x", "--images", ".", option)
            #expect(refused.status != 0 && refused.errors.contains(expected), "\(refused.errors)")
        }
    }

    /// Runs `text-to-image` on some input.
    private func pipe(
        _ input: String, _ arguments: [String]
    ) throws -> (status: Int32, output: Data, errors: String) {
        let process = Process()
        process.executableURL = Self.products.appendingPathComponent("text-to-image")
        process.arguments = arguments
        process.currentDirectoryURL = folder
        let files = ["input.txt", "output.txt", "errors.txt"].map {
            folder.appendingPathComponent($0)
        }
        try Data(input.utf8).write(to: files[0])
        for file in files.dropFirst() { try Data().write(to: file) }
        process.standardInput = try FileHandle(forReadingFrom: files[0])
        process.standardOutput = try FileHandle(forWritingTo: files[1])
        process.standardError = try FileHandle(forWritingTo: files[2])
        try process.run()
        process.waitUntilExit()
        return (
            process.terminationStatus, try Data(contentsOf: files[1]),
            try String(contentsOf: files[2], encoding: .utf8)
        )
    }
}
