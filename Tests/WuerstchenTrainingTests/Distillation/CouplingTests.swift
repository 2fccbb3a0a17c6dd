import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenTraining
import _WuerstchenTestSupport

@Suite("Couplings") struct CouplingTests {
    @Test(
        "a pair's latent is where the teacher leads its noise, under guidance or without a caption")
    func pairs() throws {
        let teacher = try TinyTeacher()
        let folder = try TemporaryFolder()
        #expect(try teacher.maker().make(20, in: folder.url) == 0)
        let pairs = try Couplings(contentsOf: folder.url)
        #expect(pairs.count == 24)
        let batch = pairs.first(24)
        let captions = batch.conditions.captions
        #expect(captions.contains("") && captions.contains("a tree"))
        let times = try FlowMap(isClamped: true).timesteps(count: 3)
        for row in 0..<24 {
            let isGuided = captions[row] != ""
            let field = try teacher.stage.flow(
                teacher.textEncoder.encode(captions[row], negative: isGuided ? "" : nil),
                guidance: isGuided ? 2 : 1)
            let end = try field.solve(
                from: batch.noise[row..<row + 1], timesteps: times, solver: .heun)
            let made = batch.clean[row..<row + 1].elements
            for (a, b) in zip(end.latent.elements, made) {
                #expect(abs(a - b) <= 1e-3 * max(1, abs(b)))
            }
        }
    }

    @Test("making goes on where it was stopped, to the same bits")
    func resumes() async throws {
        let teacher = try TinyTeacher()
        let (whole, parts) = (try TemporaryFolder(), try TemporaryFolder())
        try teacher.maker().make(24, in: whole.url)
        // Stopped in the second file.
        let (maker, target) = (try teacher.maker(), parts.url)
        let task = Task.detached {
            try maker.make(24, in: target) { done in
                if done > 8 { withUnsafeCurrentTask { $0?.cancel() } }
            }
        }
        await #expect(throws: CancellationError.self) { _ = try await task.value }
        #expect(throws: Never.self) { try teacher.maker().make(24, in: parts.url) }
        for name in try FileManager.default.contentsOfDirectory(atPath: whole.url.path) {
            let a = try Data(contentsOf: whole.url.appendingPathComponent(name))
            let b = try Data(contentsOf: parts.url.appendingPathComponent(name))
            #expect(a == b, "\(name)")
        }
    }

    @Test("several processes make the same files, each its share")
    func together() throws {
        let teacher = try TinyTeacher()
        let (whole, parts) = (try TemporaryFolder(), try TemporaryFolder())
        try teacher.maker().make(32, in: whole.url)
        func names(_ folder: TemporaryFolder) throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: folder.url.path)
                .filter { $0.hasPrefix("couplings") }.sorted()
        }
        for rank in [1, 0, 2] {
            var maker = try teacher.maker()
            maker.process = try ProcessRank(rank, of: 3)
            try maker.make(32, in: parts.url)
            if rank == 1 { #expect(try names(parts) == ["couplings-00001.safetensors"]) }
        }
        #expect(try names(whole) == names(parts) && names(whole).count == 4)
        for name in try names(whole) {
            let a = try Data(contentsOf: whole.url.appendingPathComponent(name))
            #expect(try a == Data(contentsOf: parts.url.appendingPathComponent(name)), "\(name)")
        }
    }

    @Test("couplings of another teacher, damaged ones and none are refused")
    func refused() throws {
        let teacher = try TinyTeacher()
        let folder = try TemporaryFolder()
        expectError(.fileNotFound, "no couplings") { _ = try Couplings(contentsOf: folder.url) }
        try teacher.maker().make(8, in: folder.url)
        expectError(.invalidRequest, "other settings (teacher tiny (not other))") {
            try teacher.maker(teacher.record(teacher: "other")).make(8, in: folder.url)
        }
        let other = try TemporaryFolder()
        try teacher.maker(teacher.record(seed: 4)).make(8, in: other.url)
        try FileManager.default.copyItem(
            at: other.url.appendingPathComponent("couplings-00000.safetensors"),
            to: folder.url.appendingPathComponent("couplings-00001.safetensors"))
        expectError(.malformedFile, "made differently from", "(seed 4 (not 3))") {
            _ = try Couplings(contentsOf: folder.url)
        }
        try Data([1, 2, 3]).write(
            to: other.url.appendingPathComponent("couplings-00001.safetensors"))
        #expect(throws: WuerstchenError.self) { _ = try Couplings(contentsOf: other.url) }
        // Headers that do not belong to their tensors.
        let file = folder.url.appendingPathComponent("couplings-00000.safetensors")
        let header = try #require(try Safetensors(contentsOf: file).metadata["couplings"])
        try FileManager.default.removeItem(
            at: folder.url.appendingPathComponent("couplings-00001.safetensors"))
        func expectRefused(_ header: String, _ clean: Tensor) throws {
            try Safetensors.write(
                [
                    Safetensors.Source(
                        name: "clean", elementType: .f32, shape: clean.shape.array
                    ) { write in try clean.elements.withUnsafeBytes { try write($0) } }
                ], metadata: ["couplings": header], to: file)
            expectError(.malformedFile) { _ = try Couplings(contentsOf: folder.url) }
        }
        let clean = Tensor.random([8, 3, 3, 4], seed: 1)
        try expectRefused(header.replacing("\"numbers\":[0,", with: "\"numbers\":[-1,"), clean)
        try expectRefused(header, clean[0..<7])
        try expectRefused(header, Tensor(repeating: .nan, [8, 3, 3, 4]))
        try expectRefused("{}", clean)
        let prose = ["conditions", "solver"].reduce(header) {
            $0.replacingOccurrences(
                of: "\"\($1)\":\\{[^}]*\\}", with: "\"\($1)\":\"in words\"",
                options: .regularExpression)
        }
        try expectRefused(prose, clean)
        expectError(.malformedFile, "earlier version", "anew") {
            _ = try Couplings(contentsOf: folder.url)
        }
        expectError(.invalidRequest, "counts must be positive") {
            try teacher.maker().make(0, in: folder.url)
        }
        for (words, change) in [
            ("guidance is nan", { $0.record.guidance = .nan }),
            ("guidance is 1e+10", { $0.record.guidance = 1e10 }),
            ("a share of -1.0", { $0.record.captionDropout = -1 }),
        ] as [(String, (inout PairGenerator) -> Void)] {
            var maker = try teacher.maker()
            change(&maker)
            let target = folder.url.appendingPathComponent("none")
            expectError(.invalidRequest, words) { try maker.make(8, in: target) }
            #expect(!FileManager.default.fileExists(atPath: target.path))
        }
        expectError(.fileNotFound, "nowhere is not there") {
            _ = try Couplings(contentsOf: folder.url.appendingPathComponent("nowhere"))
        }
        expectError(.invalidRequest, "no caption") { _ = try CaptionConditions([]) }
    }

    @Test("latents gone astray are left out and counted")
    func astray() throws {
        let teacher = try TinyTeacher()
        let folder = try TemporaryFolder()
        var maker = try teacher.maker()
        try maker.make(8, in: folder.url)
        let sizes = try Couplings(contentsOf: folder.url).first(8).clean
        let largest = (0..<8).map { row in
            sizes[row..<row + 1].elements.reduce(0) { max($0, abs($1)) }
        }.sorted()
        maker.largest = (largest[3] + largest[4]) / 2
        let other = try TemporaryFolder()
        #expect(try maker.make(8, in: other.url) == 4)
        #expect(try Couplings(contentsOf: other.url).count == 4)
        maker.largest = 0
        expectError(.notFinite, "none of the couplings") {
            try maker.make(8, in: try TemporaryFolder().url)
        }
    }
}
