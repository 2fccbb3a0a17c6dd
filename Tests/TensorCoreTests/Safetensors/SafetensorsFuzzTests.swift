import Foundation
import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Safetensors: damaged files give errors, never a crash")
struct SafetensorsFuzzTests {
    let folder: SafetensorsFolder
    let bytes: [UInt8]

    init() throws {
        folder = try SafetensorsFolder()
        let url = folder.file("whole")
        try Safetensors.write(
            [
                .init(
                    name: "a\"ü", elementType: .f32, shape: [2],
                    bytes: .init(repeating: 1, count: 8)),
                .init(name: "b", elementType: .u8, shape: [3, 1], bytes: [1, 2, 3]),
                .init(name: "c", elementType: .i64, shape: [0], bytes: []),
            ], metadata: ["format": "pt"], to: url)
        bytes = try Array(Data(contentsOf: url))
    }

    /// Whether the bytes are a file; if they are, every tensor must lie within it.
    private func isAccepted(_ bytes: [UInt8]) throws -> Bool {
        // File systems hurry a file to the disk when it is overwritten, and not when it is new.
        let url = try folder.write(bytes, as: UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: url) }
        let file: Safetensors
        do {
            file = try Safetensors(contentsOf: url)
        } catch let error as WuerstchenError {
            #expect(error.code == .malformedFile)
            return false
        }
        var count = 0
        for entry in file.entries.values {
            count += try file.withBytes(of: entry) { $0.reduce(0) { sum, _ in sum + 1 } }
            #expect(entry.byteRange.upperBound <= bytes.count)
        }
        #expect(count <= bytes.count - 8)
        return true
    }

    @Test("every truncation is noticed")
    func truncation() throws {
        for count in 0..<bytes.count {
            #expect(try !isAccepted(Array(bytes.prefix(count))), "\(count) bytes")
        }
        #expect(try !isAccepted(bytes + [0]))
        #expect(try isAccepted(bytes))
    }

    @Test("thousands of damaged headers")
    func damage() throws {
        var random = SplitMix(state: 1)
        let headerEnd = bytes.count - 11
        let interesting = Array("{}[]\",:\\u0189.-eE \n\0".utf8) + [0x7F, 0x80, 0xC3, 0xFF]
        for round in 0..<4000 {
            var damaged = bytes
            for _ in 0...Int.random(in: 0..<3, using: &random) {
                // Mostly the JSON: what the length says wrongly is found out at once.
                let start = round.isMultiple(of: 8) ? 0 : 8
                let place = Int.random(in: start..<headerEnd, using: &random)
                switch UInt8.random(in: 0..<4, using: &random) {
                case 0: damaged[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                case 1: damaged[place] = .random(in: 0...255, using: &random)
                case 2: damaged[place] = interesting.randomElement(using: &random) ?? 0
                default:
                    let other = Int.random(in: start..<headerEnd, using: &random)
                    damaged.swapAt(place, other)
                }
            }
            _ = try isAccepted(damaged)
        }
    }

    @Test("noise for a header")
    func noise() throws {
        var random = SplitMix(state: 2)
        let alphabet = Array("{}[]\":,\\u0aF1-. ".utf8)
        for _ in 0..<1000 {
            let count = Int.random(in: 0..<60, using: &random)
            let noise = (0..<count).map { _ in alphabet.randomElement(using: &random) ?? 0 }
            _ = try isAccepted(safetensorsBytes(Array("{\"a\":{".utf8) + noise))
        }
    }
}

/// Random numbers that are the same in every run, so that a failure can be found again.
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
