import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// Random damage: a network either loads or throws the package's error.
@Suite("Random damage to a checkpoint") struct CheckpointFuzzTests {
    private struct Generator: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ state >> 29
        }
    }

    @Test("bytes of a header", arguments: 0..<3)
    func headers(part: Int) throws {
        let path = CheckpointParameterTests.files[part]
        let copy = try TinyCascade.copy()
        let whole = try copy.bytes(of: path)
        let header = 8 + Int(whole[0]) + Int(whole[1]) << 8
        var generator = Generator(state: UInt64(part))
        var refused = 0
        for round in 0..<120 {
            var bytes = whole
            for _ in 0...round % 3 {
                let place = Int.random(in: 0..<header, using: &generator)
                bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            }
            try copy.write(bytes, to: path)
            do {
                try load(part, copy)
            } catch let error as WuerstchenError {
                refused += 1
                #expect(!error.message.isEmpty)
            }
        }
        // Little of a header is free to change.
        #expect(refused > 60)
    }

    @Test("characters of a configuration", arguments: 0..<3)
    func configurations(part: Int) throws {
        let path =
            ["wuerstchen-prior/prior", "wuerstchen/decoder", "wuerstchen/vqgan"][part]
            + "/config.json"
        let copy = try TinyCascade.copy()
        let whole = try copy.bytes(of: path)
        var generator = Generator(state: UInt64(part))
        let characters = Array("0123456789-.,:{}[]\"ntx ".utf8)
        for _ in 0..<120 {
            var bytes = whole
            // Replaced, not inserted: a number does not grow beyond what memory can hold.
            bytes[Int.random(in: bytes.indices, using: &generator)] =
                characters[Int.random(in: characters.indices, using: &generator)]
            try copy.write(bytes, to: path)
            do {
                try load(part, copy)
            } catch is WuerstchenError {}
        }
    }

    private func load(_ part: Int, _ copy: CheckpointCopy) throws {
        switch part {
        case 0:
            _ = try CheckpointFolder(copy.file("wuerstchen-prior"))
                .stageC(space: SemanticLatentSpace())
        case 1:
            _ = try CheckpointFolder(copy.file("wuerstchen"))
                .stageB(space: SemanticLatentSpace(latentsPerPosition: 2.7))
        default: _ = try CheckpointFolder(copy.file("wuerstchen")).stageA()
        }
    }
}
