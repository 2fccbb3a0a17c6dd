import Foundation
import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Safetensors: checkpoints")
struct SafetensorsCheckpointTests {
    let folder: SafetensorsFolder

    init() throws {
        folder = try SafetensorsFolder()
    }

    private func open(_ variant: String? = nil) throws -> SafetensorsCheckpoint {
        try SafetensorsCheckpoint(directory: folder.url, stem: "model", variant: variant)
    }

    private func writeIndex(
        _ map: String, as name: String = "model.safetensors.index.json"
    ) throws {
        let json =
            #"{"metadata": {"total_size": 12.5e1, "x": [null, true]}, "weight_map": \#(map)}"#
        try folder.write(Array("\(json)\n".utf8), as: name)
    }

    @Test("the plain file comes first, then the only variant")
    func variants() throws {
        try folder.writeTensors("half", as: "model.fp16.safetensors")
        // Shards, files of other stems and anything else are no variants.
        try folder.writeTensors("x", as: "model.bf16-00001-of-00002.safetensors")
        try folder.writeTensors("x", as: "other.safetensors")
        try folder.writeTensors("x", as: "model_ema.safetensors")
        #expect(try Array(open().tensors.keys) == ["half"])
        #expect(try Array(open("fp16").tensors.keys) == ["half"])

        try folder.writeTensors("brain", as: "model.bf16.safetensors")
        expectError(.invalidRequest, folder.url.path, "bf16, fp16") { _ = try open() }

        try folder.writeTensors("plain", as: "model.safetensors")
        #expect(try Array(open().tensors.keys) == ["plain"])
        #expect(try Array(open("bf16").tensors.keys) == ["brain"])
        expectError(
            .fileNotFound, "model.int8.safetensors", "model.safetensors.index.int8.json",
            "bf16, fp16"
        ) { _ = try open("int8") }
    }

    @Test("nothing there, no folder, no name")
    func missing() throws {
        expectError(
            .fileNotFound, folder.url.path, "model.safetensors", "model.safetensors.index.json"
        ) { _ = try open() }
        expectError(.fileNotFound, "nowhere") {
            _ = try SafetensorsCheckpoint(directory: folder.file("nowhere"), stem: "model")
        }
        let file = try folder.write([])
        expectError(.unreadableFile, file.path) {
            _ = try SafetensorsCheckpoint(directory: file, stem: "model")
        }
        for name in ["", "../model", "a/b", "a\0"] {
            expectError(.invalidRequest, name.debugDescription) {
                _ = try SafetensorsCheckpoint(directory: folder.url, stem: name)
            }
            expectError(.invalidRequest, name.debugDescription) { _ = try open(name) }
        }
    }

    @Test("shards", arguments: [nil, "fp16"])
    func shards(_ variant: String?) throws {
        try folder.writeTensors("a", "b", as: "model-00001-of-00002.safetensors")
        try folder.writeTensors("c", as: "model-00002-of-00002.safetensors")
        try writeIndex(
            #"{"a": "model-00001-of-00002.safetensors", "b": "model-00001-of-00002.safetensors","#
                + #""c": "model-00002-of-00002.safetensors"}"#,
            as: "model.safetensors.index.\(variant.map { "\($0)." } ?? "")json")
        // The only variant there is needs no name.
        for checkpoint in try [open(variant), open()] {
            #expect(Set(checkpoint.tensors.keys) == ["a", "b", "c"])
            #expect(
                checkpoint.files.map(\.url.lastPathComponent) == [
                    "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                ])
            for (name, tensor) in checkpoint.tensors {
                #expect(tensor.entry.name == name)
                #expect(try tensor.file.bytes(name) == [0, 0, 128, 63])
            }
        }
    }

    @Test("an index and shards that contradict each other")
    func contradictions() throws {
        try folder.writeTensors("a", as: "1.safetensors")
        try folder.writeTensors("b", as: "2.safetensors")
        try folder.writeTensors("a", "b", as: "3.safetensors")
        try writeIndex(#"{"a": "1.safetensors", "b": "4.safetensors"}"#)
        expectError(.fileNotFound, "4.safetensors", "index.json", "download") { _ = try open() }
        try writeIndex(#"{"a": "1.safetensors", "b": "2.safetensors", "c": "2.safetensors"}"#)
        expectError(.malformedFile, "\"c\"", "2.safetensors", "index.json") { _ = try open() }
        try writeIndex(#"{"a": "2.safetensors", "b": "1.safetensors"}"#)
        expectError(.malformedFile, "\"a\"", "2.safetensors", "index.json") { _ = try open() }
        try writeIndex(#"{"a": "1.safetensors", "b": "3.safetensors"}"#)
        expectError(.malformedFile, "\"a\"", "3.safetensors", "1.safetensors") { _ = try open() }
        try writeIndex(#"{"a": "3.safetensors"}"#)
        expectError(.malformedFile, "\"b\"", "3.safetensors", "does not list") { _ = try open() }
        try folder.write([1, 2, 3], as: "3.safetensors")
        expectError(.malformedFile, "3.safetensors", "3 bytes") { _ = try open() }
    }

    @Test(
        "shards outside the folder",
        arguments: ["../x", "/etc/passwd", "sub/x", "..", ".", "", #"..\\x"#, #"a\u0000"#])
    func traversal(_ name: String) throws {
        try writeIndex(#"{"a": "\#(name)"}"#)
        expectError(.malformedFile, "index.json", #""weight_map"."a""#, "own folder") {
            _ = try open()
        }
    }

    @Test(
        "an index that is not one",
        arguments: [
            ("", "empty"), ("[]", "an object"), ("{}", "no tensors"),
            (#"{"weight_map": {}}"#, "no tensors"), (#"{"weight_map": []}"#, "an object"),
            (#"{"weight_map": {"a": 1}}"#, "a string"),
            (#"{"weight_map": {"a": "1", "a": "2"}}"#, "twice"),
            (#"{"weight_map": {}, "weight_map": {}}"#, "twice"),
            (#"{"weight_map": {"a": "1"}} x"#, "nothing after"),
            (#"{"metadata": 01}"#, "zero"), (#"{"metadata": tru}"#, "true"),
            (#"{"metadata": 1.}"#, "a digit"), (#"{"metadata": -}"#, "a value"),
            (#"{"metadata": 1e+}"#, "a digit"), (#"{"metadata": NaN}"#, "a value"),
            (#"{"metadata": "# + String(repeating: "[", count: 100_000), "levels"),
            (#"{"metadata": "# + String(repeating: #"{"":"#, count: 100_000), "levels"),
        ])
    func malformedIndex(_ text: String, _ fragment: String) throws {
        try folder.write(Array(text.utf8), as: "model.safetensors.index.json")
        expectError(.malformedFile, "model.safetensors.index.json", fragment) { _ = try open() }
    }
}
