import Foundation
import TensorCore
import Testing
import WuerstchenNN
import _WuerstchenTestSupport

@Suite("Parameters of a checkpoint")
struct CheckpointParametersTests {
    private let folder: SafetensorsFolder

    init() throws {
        folder = try SafetensorsFolder()
    }

    /// The bytes of numbers in one of the formats, and what they are as floats.
    private static let formats: [(type: Safetensors.ElementType, bytes: [UInt8], want: [Float])] = {
        func bytes<Element>(_ elements: [Element]) -> [UInt8] {
            elements.withUnsafeBytes { Array($0) }
        }
        let third: Float = 1 / 3
        return [
            (.f32, bytes([third, -2, -0x1p-140]), [third, -2, -0x1p-140]),
            (.f16, bytes([0x3c00, 0xc000, 0x3555] as [UInt16]), [1, -2, 0.33325195]),
            (.bf16, bytes([0x3f80, 0xc000, 0x3eab] as [UInt16]), [1, -2, 0.33398438]),
            (.f64, bytes([1.0 / 3, -2, 1e300]), [third, -2, .infinity]),
        ]
    }()

    /// A file whose tensor lies so many bytes behind a multiple of eight.
    private func write(
        _ type: Safetensors.ElementType, _ bytes: [UInt8], count: Int, offset: Int
    ) throws -> URL {
        var header =
            #"{"x":{"dtype":"\#(type.rawValue)","shape":[\#(count)],"#
            + #""data_offsets":[0,\#(bytes.count)]}}"#
        while header.utf8.count % 8 != offset { header += " " }
        return try folder.write(safetensorsBytes(header) + bytes)
    }

    private func read(_ file: URL, _ shape: Shape) throws -> Tensor {
        try Parameters.load(from: CheckpointParameters(contentsOf: file)) {
            try $0("x", shape, role: .weight)
        }
    }

    @Test("floats of every size, wherever they lie", arguments: 0..<8)
    func formats(offset: Int) throws {
        for (type, bytes, want) in CheckpointParametersTests.formats {
            let file = try write(type, bytes, count: want.count, offset: offset)
            #expect(try read(file, [3]).elements == want, "\(type)")
        }
    }

    @Test("halves in several pieces of work", arguments: [Safetensors.ElementType.f16, .bf16])
    func manyHalves(type: Safetensors.ElementType) throws {
        // 1, 2, 4 … in both formats.
        let step: UInt16 = type == .f16 ? 0x400 : 0x80
        let one: UInt16 = type == .f16 ? 0x3c00 : 0x3f80
        let count = 140_001
        let halves = (0..<count).map { one + step * UInt16($0 % 7) }
        let bytes = halves.withUnsafeBytes { Array($0) }
        let got = try read(write(type, bytes, count: count, offset: 1), [count])
        #expect(got.elements == (0..<count).map { Float(1 << ($0 % 7)) })
    }

    @Test("integers are refused by name")
    func integers() throws {
        for type in [Safetensors.ElementType.i64, .u8, .bool, .f8E4M3] {
            let bytes = [UInt8](repeating: 0, count: 2 * type.byteCount)
            let file = try write(type, bytes, count: 2, offset: 0)
            expectError(.incompatibleParameters, "x", type.rawValue, file.path) {
                _ = try read(file, [2])
            }
        }
    }

    @Test("names, shapes, and parameters without elements")
    func names() throws {
        try Safetensors.write(
            [
                .init(name: "a.weight", elementType: .f32, shape: [2, 0], bytes: []),
                .init(name: "b", elementType: .f16, shape: [], bytes: [0, 0x3c]),
            ], to: folder.file("x.safetensors"))
        let source = try CheckpointParameters(contentsOf: folder.file("x.safetensors"))
        #expect(source.names == ["a.weight", "b"])
        #expect(source.shape(of: "a.weight") == [2, 0])
        #expect(source.shape(of: "b") == [])
        #expect(source.shape(of: "c") == nil)
        let (empty, scalar) = try Parameters.load(from: source) {
            (try $0["a"]("weight", [2, 0], role: .weight), try $0("b", [], role: .weight))
        }
        #expect(empty.elements.isEmpty && scalar.elements == [1])
    }

    @Test("shards of a folder")
    func shards() throws {
        try folder.writeTensors("a", as: "model-1.safetensors")
        try folder.writeTensors("b", as: "model-2.safetensors")
        let index =
            #"{"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}}"#
        try folder.write(Array(index.utf8), as: "model.safetensors.index.json")
        let source = try CheckpointParameters(directory: folder.url, stem: "model")
        #expect(source.origin == folder.url.path)
        let both = try Parameters.load(from: source) {
            [try $0("a", [1], role: .weight), try $0("b", [1], role: .weight)]
        }
        #expect(both.map(\.elements) == [[1], [1]])
    }
}
