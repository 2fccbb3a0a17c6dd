import Foundation
import Testing
import Wuerstchen

/// Work that several processes share, and that goes on where outputs are missing.
@Suite("Shared work", .serialized) struct SharedWorkTests {
    private let examples: ExamplesTests

    init() throws { examples = try ExamplesTests() }

    private func run(
        _ example: String, _ arguments: [String], rank: Int? = nil, of count: Int = 2
    ) throws -> ExamplesTests.Outcome {
        try examples.run(
            example, arguments,
            environment: rank.map { ["RANK": "\($0)", "WORLD_SIZE": "\(count)"] } ?? [:])
    }

    private func files(_ folder: String) throws -> [String: Data] {
        let url = examples.folder.appendingPathComponent(folder)
        let names = try FileManager.default.contentsOfDirectory(atPath: url.path)
        return Dictionary(
            uniqueKeysWithValues: try names.filter { !$0.hasPrefix(".") }.map {
                ($0, try Data(contentsOf: url.appendingPathComponent($0)))
            })
    }

    @Test("Each of two processes draws its images, to the same files as one that draws all")
    func images() throws {
        defer { try? FileManager.default.removeItem(at: examples.folder) }
        for name in ["one", "two"] {
            try FileManager.default.createDirectory(
                at: examples.folder.appendingPathComponent(name),
                withIntermediateDirectories: true)
        }
        try Data("a red house\n{\"prompt\": \"a boat\", \"count\": 2, \"stage_b_seed\": 4}\n".utf8)
            .write(to: examples.folder.appendingPathComponent("prompts.txt"))
        func arguments(_ folder: String) -> [String] {
            [
                "--prompts", "prompts.txt", "--fast", "--seed", "9", "--width", "128", "--height",
                "128", "--output", "\(folder)/{number}.png",
            ]
        }
        let whole = try run("text-to-image", arguments("one"))
        #expect(whole.status == 0, "\(whole.errors)")
        let second = try run("text-to-image", arguments("two"), rank: 1)
        #expect(second.status == 0, "\(second.errors)")
        #expect(second.errors.contains("process 2 of 2: 1 of 3 images"), "\(second.errors)")
        #expect(try files("two").keys.sorted() == ["2.png"])
        let first = try run("text-to-image", arguments("two"), rank: 0)
        #expect(first.status == 0, "\(first.errors)")
        let images = try files("one")
        #expect(try images == files("two") && images.count == 3)

        // What is missing is made again, and nothing else.
        let lost = examples.folder.appendingPathComponent("two/3.png")
        try FileManager.default.removeItem(at: lost)
        let resumed = try run("text-to-image", arguments("two") + ["--resume", "--json"])
        #expect(resumed.status == 0, "\(resumed.errors)")
        #expect(resumed.output.components(separatedBy: #""event":"image""#).count == 2)
        #expect(try images == files("two"))
        let other = try run(
            "text-to-image", arguments("two") + ["--resume", "--negative", "dark"])
        #expect(other.status != 0 && other.errors.contains("another request"), "\(other.errors)")
    }

    @Test("What each process would choose for itself is refused")
    func refused() throws {
        defer { try? FileManager.default.removeItem(at: examples.folder) }
        for (extra, word) in [
            ([], "--seed"), (["--seed", "1", "--sheet", "x.png"], "--sheet"),
        ] {
            let made = try run("text-to-image", ["a house", "--fast"] + extra, rank: 0)
            #expect(made.status != 0 && made.errors.contains(word), "\(made.errors)")
        }
        let evaluated = try run("evaluate", ["--fast", "--count", "2"], rank: 0)
        #expect(evaluated.status != 0 && evaluated.errors.contains("--keep"))
        let half = try examples.run(
            "text-to-image", ["a house"], environment: ["WORLD_SIZE": "2"])
        #expect(half.status != 0 && half.errors.contains("RANK is not"), "\(half.errors)")
    }

    @Test("The last of two processes prints the table that one prints")
    func table() throws {
        defer { try? FileManager.default.removeItem(at: examples.folder) }
        let arguments = [
            "--fast", "--count", "20", "--references", "20", "--only", "preview", "--seed", "3",
        ]
        func table(_ outcome: ExamplesTests.Outcome) -> [String] {
            // But for the time.
            outcome.output.split(separator: "\n").map { line in
                line.split(separator: " ").enumerated().filter { $0.offset != 3 }
                    .map { String($0.element) }.joined(separator: " ")
            }
        }
        let whole = try run("evaluate", arguments)
        #expect(whole.status == 0, "\(whole.errors)")
        let keeping = arguments + ["--keep", "kept"]
        let first = try run("evaluate", keeping, rank: 0)
        #expect(first.status == 0 && first.output.isEmpty, "\(first.errors)")
        #expect(first.errors.contains("process 1 of 2 is done"), "\(first.errors)")
        let last = try run("evaluate", keeping, rank: 1)
        #expect(last.status == 0, "\(last.errors)")
        #expect(table(whole).count == 2 && table(whole) == table(last))
        let other = try run("evaluate", keeping + ["--stage-b-steps", "2"])
        #expect(other.status != 0 && other.errors.contains("made with other"), "\(other.errors)")
    }
}
