import Foundation
import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Measuring memory") struct MemoryMeterTests {
    private static let shape: Shape = [1000, 1000]

    @Test("buffers count for as long as they are kept, and idle ones are used again")
    func buffers() {
        let two = MemoryMeter.measure {
            let x = Tensor(repeating: 1, Self.shape)
            _ = x + x
        }
        #expect(two == 8_000_000)
        let oneByOne = MemoryMeter.measure {
            for _ in 0..<5 { _ = Tensor(repeating: 1, Self.shape) }
        }
        #expect(oneByOne == 4_000_000)
        let inner = MemoryMeter.measure {
            _ = Tensor(repeating: 1, Self.shape)
            _ = MemoryMeter.measure { _ = Tensor(repeating: 1, [3000, 1000]) }
        }
        #expect((12_000_000...16_000_000).contains(inner))
    }

    @Test("nothing is computed, however much it would be, and everything is afterwards")
    func dry() {
        // 32 GB, none of which are touched.
        let bytes = MemoryMeter.measure {
            let x = Tensor(repeating: 1, [1 << 16, 1 << 16])
            let y = x + x
            #expect(y.shape == x.shape && y.isFinite)
        }
        #expect(bytes == 1 << 35)
        #expect(
            (Tensor(repeating: 1, [2, 2]) + Tensor(repeating: 1, [2, 2])).elements == [2, 2, 2, 2])
    }

    @Test("a mapped file takes memory where it is read and until it is released")
    func files() throws {
        let folder = try SafetensorsFolder()
        let count = 1 << 20
        let types: [(Safetensors.ElementType, Int)] = [(.f32, 4), (.f16, 2), (.bf16, 2)]
        for (type, size) in types {
            let file = folder.file("\(type.rawValue).safetensors")
            try Safetensors.write(
                [
                    Safetensors.Source(
                        name: "x", elementType: type, shape: [count],
                        bytes: [UInt8](repeating: 0, count: size * count))
                ], to: file)
            func read() throws -> Tensor {
                let open = try Safetensors(contentsOf: file)
                return try open.floats(of: #require(open.entries["x"]), as: [count])
            }
            let once = try MemoryMeter.measure { _ = try read() }
            // Halves are copied, and their pages are given back.
            #expect(once == (type == .f32 ? 4 : 6) * count)
            let again = try MemoryMeter.measure {
                for _ in 0..<3 { try read().releasePages() }
            }
            #expect(again == once)
            let kept = try MemoryMeter.measure {
                let tensors = try (0..<3).map { _ in try read() }
                withExtendedLifetime(tensors) {}
            }
            #expect(kept == (type == .f32 ? 12 : 14) * count)
        }
    }

    @Test("the process says how much memory it has")
    func process() throws {
        let before = TensorMemory.peakResident
        #expect(before > 1_000_000)
        if let resident = TensorMemory.resident { #expect(resident > 1_000_000) }
    }
}
