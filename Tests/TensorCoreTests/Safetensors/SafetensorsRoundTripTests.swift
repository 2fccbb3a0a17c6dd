import Foundation
import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Safetensors: what is written is what is read")
struct SafetensorsRoundTripTests {
    let folder: SafetensorsFolder

    init() throws {
        folder = try SafetensorsFolder()
    }

    @Test("every element type", arguments: Safetensors.ElementType.allCases)
    func elementType(_ type: Safetensors.ElementType) throws {
        let bytes = (0..<6 * type.byteCount).map { UInt8($0) }
        let url = folder.file("x.safetensors")
        try Safetensors.write(
            [.init(name: "a", elementType: type, shape: [2, 3], bytes: bytes)], to: url)
        let file = try Safetensors(contentsOf: url)
        let entry = try #require(file.entries["a"])
        #expect(entry.elementType == type)
        #expect(entry.shape == [2, 3])
        #expect(try file.bytes("a") == bytes)
        #expect(file.url == url)
    }

    @Test("scalars, empty tensors, mixed types, metadata and unusual names")
    func mixture() throws {
        let names = ["", "a.b", "\"\\/\n\0\u{1F}", "größe 🌭", String(repeating: "n", count: 300)]
        let metadata = ["format": "pt", "\"": "\u{1}🌭", "": ""]
        let url = folder.file("x.safetensors")
        try Safetensors.write(
            [
                .init(name: names[0], elementType: .u8, shape: [3], bytes: [1, 2, 3]),
                .init(name: names[1], elementType: .f32, shape: [], bytes: [0, 0, 128, 63]),
                .init(name: names[2], elementType: .i64, shape: [4, 0, 2], bytes: []),
                .init(name: names[3], elementType: .f16, shape: [1, 1], bytes: [0, 60]),
                .init(name: names[4], elementType: .u8, shape: [0], bytes: []),
            ], metadata: metadata, to: url)
        let file = try Safetensors(contentsOf: url)
        #expect(Set(file.entries.keys) == Set(names))
        #expect(file.metadata == metadata)
        #expect(file.entries[names[1]]?.shape == [])
        #expect(try file.bytes(names[0]) == [1, 2, 3])
        #expect(try file.bytes(names[1]) == [0, 0, 128, 63])
        #expect(try file.bytes(names[2]) == [])
        #expect(try file.bytes(names[3]) == [0, 60])
        for entry in file.entries.values {
            #expect(entry.byteRange.lowerBound.isMultiple(of: entry.elementType.byteCount))
        }
        #expect(file.entries.values.map(\.byteRange.lowerBound).min()?.isMultiple(of: 64) == true)
    }

    @Test("no tensors at all")
    func empty() throws {
        let url = folder.file("x.safetensors")
        try Safetensors.write([], to: url)
        let file = try Safetensors(contentsOf: url)
        #expect(file.entries.isEmpty && file.metadata.isEmpty)
        #expect(file.file.bytes.count == 64)
    }

    @Test("a header as others write it: white space, any order, escapes, no alignment")
    func foreignHeader() throws {
        let url = try folder.write(
            safetensorsBytes(
                """
                { "\\u00fc\\ud83c\\udf2d\\n\\/" :\t{"shape" : [ 2 ] ,
                "data_offsets":[1,5], "dtype":"\\u0042F16"}, "b":
                {"dtype":"U8","shape":[],"data_offsets":[0,1]},
                "c":{"dtype":"F64","shape":[0],"data_offsets":[1,1]},"__metadata__":{}}
                """, data: 5))
        let file = try Safetensors(contentsOf: url)
        #expect(Set(file.entries.keys) == ["ü🌭\n/", "b", "c"])
        #expect(file.entries["ü🌭\n/"]?.elementType == .bf16)
        #expect(try file.bytes("ü🌭\n/") == [1, 2, 3, 4])
        #expect(try file.bytes("b") == [0])
    }

    @Test("an entry of another file is refused")
    func foreignEntry() throws {
        try folder.writeTensors("a", as: "1")
        try folder.writeTensors("a", "b", as: "2")
        let file = try Safetensors(contentsOf: folder.file("1"))
        let entry = try #require(Safetensors(contentsOf: folder.file("2")).entries["b"])
        expectError(.invalidRequest, "/1", "\"b\"") { try file.withBytes(of: entry) { _ in } }
    }

    @Test("the mapping outlives the file's name and everything but its own object")
    func lifetime() throws {
        let url = folder.file("x.safetensors")
        try folder.writeTensors("a", as: "x.safetensors")
        func open() throws -> (MappedFile, Range<Int>) {
            let file = try Safetensors(contentsOf: url)
            return (file.file, try #require(file.entries["a"]).byteRange)
        }
        let (file, range) = try open()
        try FileManager.default.removeItem(at: url)
        #expect(file.withBytes { Array($0[range]) } == [0, 0, 128, 63])
    }
}

@Suite("Safetensors: integers")
struct SafetensorsIntegerTests {
    @Test("every integer type widens to its extremes, from any alignment")
    func extremes() throws {
        func check<Element: FixedWidthInteger>(
            _ values: [Element], _ type: Safetensors.ElementType
        ) throws {
            var bytes: [UInt8] = [0]
            for value in values {
                withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
            }
            let widened = try bytes.withUnsafeBytes {
                try Safetensors.integers(UnsafeRawBufferPointer(rebasing: $0[1...]), as: type)
            }
            #expect(widened == values.map { Int64($0) })
        }
        try check([UInt8.min, .max], .u8)
        try check([Int8.min, -1, .max], .i8)
        try check([UInt16.min, .max], .u16)
        try check([Int16.min, -1, .max], .i16)
        try check([UInt32.min, .max], .u32)
        try check([Int32.min, -1, .max], .i32)
        try check([0, UInt64(Int64.max)], .u64)
        try check([Int64.min, -1, .max], .i64)
        let bools = try ([0, 1, 255] as [UInt8]).withUnsafeBytes {
            try Safetensors.integers($0, as: .bool)
        }
        #expect(bools == [0, 1, 1])
    }

    @Test("floats, fractions of elements and what does not fit are refused")
    func refusals() {
        let bytes = [UInt8](repeating: 255, count: 8)
        bytes.withUnsafeBytes { bytes in
            expectError(.invalidRequest, "BF16") {
                _ = try Safetensors.integers(bytes, as: .bf16)
            }
            expectError(.invalidRequest, "element 0") {
                _ = try Safetensors.integers(bytes, as: .u64)
            }
            expectError(.invalidRequest, "7 bytes") {
                _ = try Safetensors.integers(.init(rebasing: bytes[1...]), as: .i32)
            }
        }
    }

    @Test("the elements of an entry")
    func entry() throws {
        let folder = try SafetensorsFolder()
        let url = folder.file("x.safetensors")
        try Safetensors.write(
            [.init(name: "a", elementType: .i16, shape: [2], bytes: [1, 0, 255, 255])], to: url)
        let file = try Safetensors(contentsOf: url)
        #expect(try file.integers(of: #require(file.entries["a"])) == [1, -1])
    }
}
