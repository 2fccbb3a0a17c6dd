import CWuerstchenKernels
import Foundation
import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Matrices that are stored as they are multiplied") struct StoredMatrixTests {
    /// A matrix in a file, rounded to 8 bits or to bfloat16.
    private static func write(
        _ weight: Tensor, _ precision: Precision, to url: URL
    ) throws -> StoredMatrix {
        let sources =
            precision == .int8
            ? QuantizedMatrix(weight).sources("w")
            : [
                Safetensors.Source(
                    name: "w", elementType: .bf16, shape: weight.shape.array,
                    bytes: weight.elements.flatMap { element -> [UInt8] in
                        let bits = Twin.bfloat16(element)
                        return [UInt8(truncatingIfNeeded: bits), UInt8(bits >> 8)]
                    })
            ]
        try Safetensors.write(sources, to: url)
        let file = try Safetensors(contentsOf: url)
        return try StoredMatrix(#require(file.entries["w"]), of: file)
    }

    @Test(
        "products are those of the matrix itself, bit for bit",
        arguments: [Precision.bfloat16, .int8], [(1, 1), (5, 7), (33, 50), (70, 129)])
    func products(precision: Precision, size: (Int, Int)) throws {
        let (outputs, features) = size
        let folder = try TemporaryFolder()
        let weight = Tensor.random([outputs, features], seed: 3)
        let x = Tensor.random([1, 4, features], seed: 4)
        let stored = try Self.write(
            weight, precision, to: folder.url.appendingPathComponent("x.safetensors"))
        #expect(stored.precision == precision)
        for gemm in [precision.gemm, nil] {
            let want = PackedWeight(weight, precision: precision, gemm: gemm)
            let got = try PackedWeight(stored, precision: precision, gemm: gemm)
            #expect(got.outputs == outputs && got.features == features)
            #expect(x.linear(got).elements == x.linear(want).elements)
        }
        // In another precision it is what the numbers stand for, exactly.
        let rounded = try #require(
            PackedWeight(weight, precision: precision, gemm: nil).unpacked())
        #expect(try stored.widened().elements == rounded.elements)
        let wide = try PackedWeight(stored, precision: .float32)
        #expect(wide.unpacked()?.elements == rounded.elements)
    }

    @Test("what is no such matrix is refused")
    func refusals() throws {
        let folder = try TemporaryFolder()
        let url = folder.url.appendingPathComponent("x.safetensors")
        func matrix(
            _ shape: [Int], _ type: Safetensors.ElementType = .i8,
            scales: [Float]? = [1, 2], scalesShape: [Int] = [2]
        ) throws {
            let count = shape.reduce(type.byteCount, *)
            var sources = [
                Safetensors.Source(
                    name: "w", elementType: type, shape: shape,
                    bytes: [UInt8](repeating: 1, count: count))
            ]
            if let scales {
                sources.append(
                    Safetensors.Source(
                        name: "w#scales", elementType: .f32, shape: scalesShape,
                        bytes: scales.flatMap { value in
                            withUnsafeBytes(of: value.bitPattern.littleEndian, Array.init)
                        }))
            }
            try Safetensors.write(sources, to: url)
            let file = try Safetensors(contentsOf: url)
            let stored = try StoredMatrix(#require(file.entries["w"]), of: file)
            _ = try PackedWeight(stored, precision: .int8)
        }
        try matrix([2, 3])
        for shape in [[2], [2, 3, 1], [0, 3]] {
            expectError(.malformedFile, "x.safetensors", "\"w\"", "convert") { try matrix(shape) }
        }
        expectError(.malformedFile, "I32", "I8") { try matrix([2, 3], .i32) }
        expectError(.malformedFile, "no scales", "w#scales") { try matrix([2, 3], scales: nil) }
        expectError(.malformedFile, "[2, 1]", "F32 [2]") {
            try matrix([2, 3], scalesShape: [2, 1])
        }
        expectError(.malformedFile, "F32 [3]") { try matrix([3, 2]) }
        for wrong in [Float.nan, .infinity, -1] {
            expectError(.malformedFile, "row 1", "\(wrong)") {
                try matrix([2, 3], scales: [1, wrong])
            }
        }
    }
}
