import Foundation
import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Safetensors: the writer")
struct SafetensorsWriterTests {
    private struct Interruption: Error {}

    let folder: SafetensorsFolder
    let url: URL

    init() throws {
        folder = try SafetensorsFolder()
        url = folder.file("x.safetensors")
    }

    private func source(
        _ name: String, _ shape: [Int] = [4], bytes: Int = 4
    ) -> Safetensors.Source {
        .init(name: name, elementType: .u8, shape: shape, bytes: .init(repeating: 7, count: bytes))
    }

    @Test("the same bytes whatever the order")
    func determinism() throws {
        let sources = [source("b"), source("a"), source("c", [2, 2])]
        var pairs = (0..<20).map { ("key \($0)", "\($0)") }
        try Safetensors.write(
            sources, metadata: .init(uniqueKeysWithValues: pairs), to: folder.file("1"))
        pairs.reverse()
        try Safetensors.write(
            sources.reversed(), metadata: .init(uniqueKeysWithValues: pairs), to: folder.file("2"))
        #expect(try Data(contentsOf: folder.file("1")) == Data(contentsOf: folder.file("2")))
    }

    @Test("the exact bytes of a file")
    func format() throws {
        try Safetensors.write([source("a")], metadata: ["k": "v"], to: url)
        let json =
            #"{"__metadata__":{"k":"v"},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#
        let padded = json + String(repeating: " ", count: 128 - 8 - json.utf8.count)
        #expect(
            try Array(Data(contentsOf: url))
                == safetensorsBytes(padded) + [7, 7, 7, 7])
    }

    @Test("bodies in many pieces, called once each and in the order of the file")
    func streaming() throws {
        var calls: [String] = []
        func counting(_ name: String, _ type: Safetensors.ElementType) -> Safetensors.Source {
            .init(name: name, elementType: type, shape: [1000]) { write in
                calls.append(name)
                for index in 0..<1000 {
                    let piece = [UInt8](
                        repeating: UInt8(truncatingIfNeeded: index), count: type.byteCount)
                    try piece.withUnsafeBytes(write)
                }
            }
        }
        try Safetensors.write(
            [counting("a", .u8), counting("z", .f32), counting("b", .f32)], to: url)
        #expect(calls == ["b", "z", "a"])
        let file = try Safetensors(contentsOf: url)
        #expect(
            try file.bytes("a") == (0..<1000).map { UInt8(truncatingIfNeeded: $0) })
    }

    @Test("a failure leaves the old file and nothing else")
    func atomicity() throws {
        try Safetensors.write([source("old")], to: url)
        let old = try Data(contentsOf: url)
        let interrupted = Safetensors.Source(name: "b", elementType: .u8, shape: [8]) { write in
            try [UInt8](repeating: 0, count: 4).withUnsafeBytes(write)
            throw Interruption()
        }
        #expect(throws: Interruption.self) {
            try Safetensors.write([source("a"), interrupted], to: url)
        }
        #expect(throws: Interruption.self) {
            try Safetensors.write([interrupted], to: folder.file("new.safetensors"))
        }
        expectError(.invalidRequest, url.path, "\"a\"", "1 bytes fewer") {
            try Safetensors.write([source("a", bytes: 3)], to: url)
        }
        expectError(.invalidRequest, url.path, "\"a\"", "more than its 4 bytes") {
            try Safetensors.write([source("a", bytes: 5)], to: url)
        }
        #expect(try Data(contentsOf: url) == old)
        #expect(try folder.names() == ["x.safetensors"])
    }

    @Test("a success replaces the old file, even while it is mapped")
    func replacement() throws {
        try Safetensors.write([source("old")], to: url)
        let old = try Safetensors(contentsOf: url)
        try Safetensors.write(
            [
                .init(name: "new", elementType: .u8, shape: [4]) { write in
                    try old.withBytes(of: #require(old.entries["old"]), write)
                }
            ],
            to: url)
        #expect(try old.bytes("old") == [7, 7, 7, 7])
        #expect(try Safetensors(contentsOf: url).bytes("new") == [7, 7, 7, 7])
        #expect(try folder.names() == ["x.safetensors"])
    }

    @Test("requests that contradict themselves")
    func refusals() throws {
        expectError(.invalidRequest, url.path, "\"a\"", "twice") {
            try Safetensors.write([source("a"), source("a")], to: url)
        }
        expectError(.invalidRequest, url.path, "\"__metadata__\"", "reserved") {
            try Safetensors.write([source("__metadata__")], to: url)
        }
        expectError(.invalidRequest, url.path, "\"a\"", "[-1, -4]") {
            try Safetensors.write([source("a", [-1, -4])], to: url)
        }
        expectError(.invalidRequest, url.path, "\"a\"", "too large") {
            try Safetensors.write([source("a", [.max, 2])], to: url)
        }
        expectError(.invalidRequest, url.path, "\"b\"", "too large") {
            try Safetensors.write([source("a", [.max]), source("b", [.max])], to: url)
        }
        #expect(try folder.names() == [])
    }

    @Test("places that cannot be written")
    func places() throws {
        expectError(.unwritableFile, "missing/x", "create the folder") {
            try Safetensors.write([], to: folder.file("missing/x"))
        }
        expectError(.unwritableFile, folder.url.path, "a folder") {
            try Safetensors.write([], to: folder.url)
        }
        let web = try #require(URL(string: "https://example.com/x"))
        expectError(.invalidRequest, "example.com") { try Safetensors.write([], to: web) }
    }
}
