import Foundation
import TensorCore
import Testing
import _WuerstchenTestSupport

/// A broken file and what the message must say of it.
struct SafetensorsLie: CustomTestStringConvertible, Sendable {
    let title: String
    let bytes: [UInt8]
    let fragments: [String]
    var testDescription: String { title }

    init(_ title: String, _ bytes: [UInt8], _ fragments: String...) {
        self.title = title
        self.bytes = bytes
        self.fragments = fragments
    }

    /// A broken header, followed by as many bytes of data as asked for.
    init(_ title: String, _ header: String, data: Int = 4, _ fragments: String...) {
        self.title = title
        self.bytes = safetensorsBytes(header, data: data)
        self.fragments = fragments
    }

    static let lengths = [
        SafetensorsLie("empty file", [UInt8](), "0 bytes"),
        SafetensorsLie("seven bytes", [2, 0, 0, 0, 0, 0, 0], "7 bytes"),
        SafetensorsLie("no header", safetensorsBytes("", data: 8), "claims 0 bytes"),
        SafetensorsLie("header cut", safetensorsBytes("{}", length: 3), "claims 3", "only 2"),
        SafetensorsLie(
            "header over the limit", safetensorsBytes("{}", length: 100_000_001), "100000001"),
        SafetensorsLie(
            "length beyond Int", safetensorsBytes("{}", length: .max), "18446744073709551615"),
        SafetensorsLie(
            "length that overflows with its prefix", safetensorsBytes("{}", length: 1 << 63 - 1),
            "claims 9223372036854775807"),
    ]

    static let syntax = [
        SafetensorsLie("array", "[]", "start with '{'"),
        SafetensorsLie("leading space", " {}", "start with '{'"),
        SafetensorsLie("byte order mark", "\u{FEFF}{}", "start with '{'"),
        SafetensorsLie("unclosed", "{", "expected a string", "end of the text"),
        SafetensorsLie("unclosed string", #"{"a"#, "end of a string"),
        SafetensorsLie("unclosed escape", #"{"a\"#, "end of a string"),
        SafetensorsLie("no colon", #"{"a"}"#, "a colon", "'}'", #"in "a""#),
        SafetensorsLie("trailing comma", #"{"__metadata__":{"a":"b",}}"#, "expected a string"),
        SafetensorsLie("no comma", #"{"__metadata__":{"a":"b" "c":"d"}}"#, "a comma"),
        SafetensorsLie("second object", "{}{}", data: 0, "nothing after the object", "'{'"),
        SafetensorsLie("trailing newline", "{} \n", data: 0, "nothing after", "0xa"),
        SafetensorsLie("trailing zero", "{}\0", data: 0, "nothing after", "0x0"),
        SafetensorsLie("comment", "{/**/}", "expected a string"),
        SafetensorsLie("single quotes", "{'a':1}", "expected a string"),
        SafetensorsLie("bare newline in a string", "{\"a\nb\":1}", "control characters"),
        SafetensorsLie("unknown escape", #"{"\x41":1}"#, "escape sequence", "'x'"),
        SafetensorsLie("short escape", #"{"\u12":1}"#, "four hexadecimal digits"),
        SafetensorsLie("lone high surrogate", #"{"\ud83c":1}"#, "surrogate"),
        SafetensorsLie("lone low surrogate", #"{"\udf2d":1}"#, "surrogate"),
        SafetensorsLie("two high surrogates", #"{"\ud83c\ud83c":1}"#, "surrogate"),
        SafetensorsLie(
            "Latin-1", safetensorsBytes(Array("{\"".utf8) + [0xFC] + Array("\":1}".utf8)), "UTF-8"),
        SafetensorsLie(
            "surrogate in UTF-8",
            safetensorsBytes(Array("{\"".utf8) + [0xED, 0xA0, 0x80] + Array("\":1}".utf8)), "UTF-8"),
        SafetensorsLie(
            "depth", #"{"a":"# + String(repeating: "[", count: 100_000), "an object", #""a""#),
        SafetensorsLie(
            "depth in a shape",
            #"{"a":{"shape":"# + String(repeating: "[", count: 100_000), "integer", #""a"."shape""#),
    ]

    static let fields = [
        SafetensorsLie(
            "tensor twice",
            #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"#
                + #""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
            "twice", #""a""#),
        SafetensorsLie(
            "tensor twice, once escaped",
            #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\u0061":{}}"#,
            "twice", #""a""#),
        SafetensorsLie(
            "dtype twice", #"{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
            "twice", #""a"."dtype""#),
        SafetensorsLie(
            "no dtype", #"{"a":{"shape":[1],"data_offsets":[0,4]}}"#, "dtype is missing", #""a""#),
        SafetensorsLie(
            "no shape", #"{"a":{"dtype":"F32","data_offsets":[0,4]}}"#, "shape is missing", #""a""#),
        SafetensorsLie(
            "no offsets", #"{"a":{"dtype":"F32","shape":[1]}}"#, "data_offsets is missing", #""a""#),
        SafetensorsLie(
            "surplus field", #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":0}}"#,
            "unknown field", #""a"."x""#),
        SafetensorsLie("tensor is a number", #"{"a":1}"#, "an object", #""a""#),
        SafetensorsLie("tensor is null", #"{"a":null}"#, "an object", #""a""#),
        SafetensorsLie(
            "unknown dtype", #"{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}"#,
            #""F99""#, "BF16", #""a"."dtype""#),
        SafetensorsLie(
            "dtype of half a byte", #"{"a":{"dtype":"F4","shape":[8],"data_offsets":[0,4]}}"#,
            #""F4""#, #""a"."dtype""#),
        SafetensorsLie(
            "dtype in lower case", #"{"a":{"dtype":"f32","shape":[1],"data_offsets":[0,4]}}"#,
            #""f32""#, #""a"."dtype""#),
        SafetensorsLie(
            "dtype is a number", #"{"a":{"dtype":32,"shape":[1],"data_offsets":[0,4]}}"#,
            "a string", #""a"."dtype""#),
        SafetensorsLie("metadata is a string", #"{"__metadata__":"x"}"#, "an object", "metadata"),
        SafetensorsLie("metadata is null", #"{"__metadata__":null}"#, "an object", "metadata"),
        SafetensorsLie(
            "metadata of numbers", #"{"__metadata__":{"k":1}}"#, "a string", #""__metadata__"."k""#),
        SafetensorsLie(
            "metadata of objects", #"{"__metadata__":{"k":{}}}"#, "a string", #""k""#),
        SafetensorsLie(
            "metadata key twice", #"{"__metadata__":{"k":"1","k":"1"}}"#, "twice", #""k""#),
        SafetensorsLie("metadata twice", #"{"__metadata__":{},"__metadata__":{}}"#, "twice"),
        SafetensorsLie(
            "line break in a name", #"{"a\nb":{}}"#, #""a\nb""#, "dtype is missing"),
    ]

    static let numbers =
        [
            ("negative", "-1", "non-negative integer"),
            ("negative zero", "-0", "non-negative integer"),
            ("plus", "+1", "non-negative integer"),
            ("fraction", "1.0", "non-negative integer"),
            ("exponent", "1e0", "non-negative integer"),
            ("leading zero", "01", "zero"),
            ("text", "\"1\"", "non-negative integer"),
            ("null", "null", "non-negative integer"),
            ("nothing", "", "non-negative integer"),
            ("array", "[1]", "non-negative integer"),
            ("beyond Int", "9223372036854775808", "too large"),
            ("far beyond Int", String(repeating: "9", count: 1000), "too large"),
        ].flatMap { title, number, fragment in
            [
                SafetensorsLie(
                    "shape, \(title)",
                    #"{"a":{"dtype":"F32","shape":[\#(number),1],"data_offsets":[0,4]}}"#,
                    fragment, #""a"."shape""#),
                SafetensorsLie(
                    "offset, \(title)",
                    #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[\#(number),4]}}"#,
                    fragment, #""a"."data_offsets""#),
            ]
        }

    static let extents = [
        SafetensorsLie(
            "too few bytes", #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#,
            "spans 4 bytes", "[2]", "take 8", #""a""#),
        SafetensorsLie(
            "too many bytes", #"{"a":{"dtype":"F16","shape":[],"data_offsets":[0,4]}}"#,
            "spans 4 bytes", "take 2", #""a""#),
        SafetensorsLie(
            "bytes for an empty tensor", #"{"a":{"dtype":"F16","shape":[0],"data_offsets":[0,4]}}"#,
            "take 0", #""a""#),
        SafetensorsLie(
            "product overflows",
            #"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#, data: 0,
            "too large", #""a""#),
        SafetensorsLie(
            "bytes overflow",
            #"{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}}"#, data: 0,
            "too large", #""a""#),
        SafetensorsLie(
            "product overflows behind a zero",
            #"{"a":{"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}}"#,
            data: 0, "too large", #""a""#),
        SafetensorsLie(
            "absurd size",
            #"{"a":{"dtype":"U8","shape":[9223372036854775807],"#
                + #""data_offsets":[0,9223372036854775807]}}"#,
            "ends at byte 9223372036854775807", "only 4", #""a""#),
        SafetensorsLie(
            "one offset", #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[4]}}"#,
            "1 numbers", #""a""#),
        SafetensorsLie(
            "three offsets", #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,2,4]}}"#,
            "3 numbers", #""a""#),
        SafetensorsLie(
            "backwards", #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}}"#,
            "begins at 4", "end at 0", #""a""#),
        SafetensorsLie(
            "out of range", #"{"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]}}"#,
            "ends at byte 5", "only 4", #""a""#),
        SafetensorsLie(
            "overlap",
            #"{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"#
                + #""b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}"#,
            "overlaps", #""b""#, "byte 2", "3 was expected"),
        SafetensorsLie(
            "same bytes twice",
            #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"#
                + #""b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#,
            "overlaps", "byte 0", "4 was expected"),
        SafetensorsLie(
            "empty tensor inside another",
            #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"#
                + #""b":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}}"#,
            "overlaps", #""b""#),
        SafetensorsLie(
            "hole at the start", #"{"a":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}}"#,
            "hole", #""a""#, "0 was expected"),
        SafetensorsLie(
            "hole between",
            #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"#
                + #""b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}"#,
            "hole", #""b""#, "1 was expected"),
        SafetensorsLie(
            "hole at the end", #"{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}"#,
            "last 1 bytes", #"after the tensor "a""#),
        SafetensorsLie("data without tensors", "{}", "last 4 bytes", "no tensors"),
    ]
}

@Suite("Safetensors: every lie is caught")
struct SafetensorsLieTests {
    private func check(_ lie: SafetensorsLie) throws {
        let folder = try SafetensorsFolder()
        let url = try folder.write(lie.bytes, as: "broken.safetensors")
        do {
            _ = try Safetensors(contentsOf: url)
            Issue.record("the file was accepted")
        } catch let error as WuerstchenError {
            #expect(error.code == .malformedFile)
            #expect(!error.message.contains("\n"))
            for fragment in lie.fragments + [url.path, "download it again"] {
                #expect(error.message.contains(fragment))
            }
        }
    }

    @Test("length of the header", arguments: SafetensorsLie.lengths)
    func length(_ lie: SafetensorsLie) throws { try check(lie) }

    @Test("syntax of the header", arguments: SafetensorsLie.syntax)
    func syntax(_ lie: SafetensorsLie) throws { try check(lie) }

    @Test("fields", arguments: SafetensorsLie.fields)
    func fields(_ lie: SafetensorsLie) throws { try check(lie) }

    @Test("numbers", arguments: SafetensorsLie.numbers)
    func numbers(_ lie: SafetensorsLie) throws { try check(lie) }

    @Test("shapes and offsets", arguments: SafetensorsLie.extents)
    func extents(_ lie: SafetensorsLie) throws { try check(lie) }

    @Test("a name of any length gives a message of bounded length")
    func longName() throws {
        let folder = try SafetensorsFolder()
        let name = "e" + String(repeating: "\u{301}", count: 50_000)
        let url = try folder.write(safetensorsBytes(#"{"\#(name)":{}}"#))
        do {
            _ = try Safetensors(contentsOf: url)
            Issue.record("the file was accepted")
        } catch let error as WuerstchenError {
            #expect(error.message.utf8.count < 4000)
        }
    }
}

@Suite("Mapped files")
struct MappedFileTests {
    let folder: SafetensorsFolder

    init() throws {
        folder = try SafetensorsFolder()
    }

    @Test("bytes, an empty file and a symbolic link")
    func contents() throws {
        let url = try folder.write([1, 2, 3])
        #expect(try MappedFile(contentsOf: url).withBytes { Array($0) } == [1, 2, 3])
        #expect(try MappedFile(contentsOf: folder.write([], as: "empty")).withBytes { $0.isEmpty })
        let link = folder.file("link")
        try FileManager.default.createSymbolicLink(at: link, withDestinationURL: url)
        #expect(try MappedFile(contentsOf: link).withBytes { Array($0) } == [1, 2, 3])
    }

    @Test("what is missing, a folder, a device or not a file at all")
    func refusals() throws {
        expectError(.fileNotFound, "nowhere") {
            _ = try Safetensors(contentsOf: folder.file("nowhere"))
        }
        let file = try folder.write([])
        expectError(.fileNotFound, "inside") {
            _ = try Safetensors(contentsOf: file.appendingPathComponent("inside"))
        }
        expectError(.unreadableFile, folder.url.path, "a folder") {
            _ = try Safetensors(contentsOf: folder.url)
        }
        expectError(.unreadableFile, "/dev/null", "a device") {
            _ = try Safetensors(contentsOf: URL(fileURLWithPath: "/dev/null"))
        }
        let web = try #require(URL(string: "https://example.com/x.safetensors"))
        expectError(.invalidRequest, "https://example.com/x.safetensors") {
            _ = try Safetensors(contentsOf: web)
        }
    }

    @Test("a file without permission to read")
    func permissions() throws {
        let url = try folder.write([1])
        try FileManager.default.setAttributes([.posixPermissions: 0], ofItemAtPath: url.path)
        // Whoever may read everything, such as the superuser, cannot see this failure.
        guard !FileManager.default.isReadableFile(atPath: url.path) else { return }
        expectError(.unreadableFile, url.path, "permissions") {
            _ = try Safetensors(contentsOf: url)
        }
    }
}
