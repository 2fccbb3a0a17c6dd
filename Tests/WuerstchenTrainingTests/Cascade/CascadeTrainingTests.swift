import Foundation
import Synchronization
import TensorCore
import Testing
import Wuerstchen
import WuerstchenTraining
import _WuerstchenTestSupport

@Suite("Training a whole cascade") struct CascadeTrainingTests {
    private let pictures: TemporaryFolder

    init() throws {
        pictures = try TemporaryFolder()
        for index in 0..<4 {
            let picture = try Image.drawn(128, 128) { x, y in
                (UInt8(60 * index), UInt8(x), UInt8(y))
            }
            try picture.write(to: pictures.url.appendingPathComponent("\(index).png"))
            try pictures.url.put("\(index).txt", "picture number \(index)")
        }
    }

    /// A few numbers of each network.
    static let architecture: CascadeArchitecture = {
        var a = StageA.Configuration()
        (a.channels, a.bottleneckBlocks, a.codes) = (8, 1, 4)
        var b = StageB.Configuration()
        (b.channels, b.blocks, b.blockTypes) = ([8, 8, 16], [1, 1, 1], ["CT", "CT", "CTA"])
        (b.heads, b.injectsSemantics) = ([-1, -1, 2], [false, true, true])
        (b.conditioningChannels, b.textChannels) = (8, 16)
        var c = StageC.Configuration()
        (c.channels, c.textChannels, c.depth, c.heads) = (16, 16, 1, 2)
        return CascadeArchitecture(
            side: 128, crop: 32, stageA: a, stageB: b, stageC: c,
            text: CLIPTextModel.Configuration(
                channels: 16, hiddenChannels: 16, layers: 1, heads: 2))
    }()

    private func training(
        in folder: URL, seed: UInt64 = 0, side: Int = 128,
        _ change: (inout CascadeTraining.Options) -> Void = { _ in }
    ) throws -> CascadeTraining {
        var options = CascadeTraining.Options(Self.architecture)
        options.architecture.side = side
        (options.batchSize, options.seed) = (2, seed)
        (options.precision, options.heldOutShare) = (.float32, 0)
        change(&options)
        return try CascadeTraining(in: folder, images: pictures.url, options: options)
    }

    /// A clock that moves on by a second whenever somebody looks.
    final class Clock: Sendable {
        private let looks = Mutex(0)
        private let start = ContinuousClock.now

        func now() -> ContinuousClock.Instant {
            start
                + .seconds(
                    looks.withLock { looks in
                        looks += 1; return looks
                    })
        }
    }

    /// Trains in a second, which is as few steps as there are, and cancels itself when a step of a
    /// piece is reported.
    private func run(_ folder: URL, cancelledIn piece: CascadePiece? = nil) async throws {
        let training = try training(in: folder)
        let clock = Clock()
        try await Task {
            _ = try training.plan(limit: 1, now: clock.now)
            let isThere = Mutex(false)
            var progress = TrainingProgress(isTerminal: false, interval: .zero) { text in
                if let piece, text.hasPrefix("\(piece.title): ") {
                    isThere.withLock { $0 = true }
                }
                if isThere.withLock({ $0 }), text.hasPrefix("step 3/") {
                    withUnsafeCurrentTask { $0?.cancel() }
                }
            }
            try training.run(progress: &progress, now: clock.now)
        }.value
    }

    @Test("can be stopped in every piece, exports at any time, and comes to the same bits")
    func resuming() async throws {
        let (whole, parts) = (try TemporaryFolder(), try TemporaryFolder())
        try await run(whole.url)
        for piece in CascadePiece.allCases {
            await #expect(throws: CancellationError.self) {
                try await run(parts.url, cancelledIn: piece)
            }
            let target = parts.url.appendingPathComponent("exported")
            guard piece == .stageC else {
                expectError(.fileNotFound, "Stage C") {
                    try CascadeTraining.export(parts.url, to: target)
                }
                continue
            }
            try CascadeTraining.export(parts.url, to: target)
            _ = try Cascade(contentsOf: target)
            // A training that is stopped leaves one too.
            _ = try Cascade(contentsOf: parts.url.appendingPathComponent("checkpoint"))
        }
        try await run(parts.url)
        for piece in CascadePiece.allCases {
            let states = try [whole, parts].map {
                try TrainingState(
                    contentsOf: $0.url.appendingPathComponent(
                        "\(piece.rawValue)/state.safetensors"))
            }
            #expect(states[0].step == 8 && states[1].step == 8)
            for (name, value) in states[0].average.values {
                #expect(value.elements == states[1].average.values[name]?.elements, "\(name)")
            }
        }
        for name in ["report.html", "sheet.html", "sheet.png"] {
            let file = parts.url.appendingPathComponent(name)
            #expect(isWrittenByThisPackage(file), "\(name)")
        }
    }

    @Test("pieces learn at the share of their rates that is asked for")
    func rates() throws {
        let asked = try training(in: try TemporaryFolder().url) { $0.rateFactor = 0.25 }
        let whole = try training(in: try TemporaryFolder().url)
        for piece in CascadePiece.allCases {
            let (peak, usual) = (
                asked.options(piece, steps: 9).rate.peak, piece.options.rate.peak
            )
            #expect(peak == 0.25 * usual)
            #expect(whole.options(piece, steps: 9).rate.peak == usual)
        }
        for share in [Float.nan, -1, 0, 11] {
            expectError(.invalidRequest, "learning rates") {
                _ = try training(in: try TemporaryFolder().url) { $0.rateFactor = share }
            }
        }
    }

    @Test("is not gone on with as another one, and not begun where somebody's files are")
    func refusals() throws {
        let folder = try TemporaryFolder()
        _ = try training(in: folder.url).plan(limit: 1)
        expectError(.invalidRequest, folder.url.path, "seed") {
            _ = try training(in: folder.url, seed: 3)
        }
        expectError(.invalidRequest, "sizes") { _ = try training(in: folder.url, side: 256) }
        expectError(.fileNotFound, "cascade.json") {
            try CascadeTraining.export(pictures.url, to: folder.url)
        }
        for (words, change) in [
            ("precision float32 (not bfloat16)", { $0.precision = .bfloat16 }),
            ("batch size 2 (not each piece's own)", { $0.batchSize = nil }),
            ("images, held out share 0 (not 0.25)", { $0.heldOutShare = 0.25 }),
            ("images, tags, kept nothing (not 1)", { $0.tags = CaptionTags(kept: 1) }),
            ("images, counts repeats nothing (not yes)", { $0.countsRepeats = true }),
            ("rate factor nothing (not 0.5)", { $0.rateFactor = 0.5 }),
        ] as [(String, (inout CascadeTraining.Options) -> Void)] {
            expectError(.invalidRequest, folder.url.path, words) {
                _ = try training(in: folder.url, change)
            }
        }
        // What it was begun with may lie behind: the pieces that are done do not tell.
        try pictures.url.put("3.txt", "another caption")
        expectError(.invalidRequest, "names sizes and captions") {
            _ = try training(in: folder.url)
        }
        try pictures.url.put("3.txt", "picture number 3")
        _ = try training(in: folder.url)
        let other = try TemporaryFolder()
        try other.url.put("report.html", "mine")
        expectError(.unwritableFile, "report.html") { _ = try training(in: other.url) }
        try FileManager.default.removeItem(at: pictures.url.appendingPathComponent("0.txt"))
        for index in 1..<4 { try pictures.url.put("\(index).txt", "") }
        expectError(.invalidRequest, "caption") { _ = try training(in: other.url) }
    }
}
