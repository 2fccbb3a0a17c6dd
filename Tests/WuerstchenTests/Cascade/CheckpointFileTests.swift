import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// Checkpoints with files that are missing or not what they should be: errors that name the file.
@Suite("Files of a checkpoint") struct CheckpointFileTests {
    @Test("a folder that is not there, or is a file")
    func missingFolder() throws {
        let copy = try TinyCascade.copy()
        expectError(.fileNotFound, "nowhere is not there") {
            _ = try Cascade(contentsOf: copy.file("nowhere"))
        }
        expectError(.invalidRequest, "model_index.json is a file", "a checkpoint is a folder") {
            _ = try Cascade(contentsOf: copy.file("wuerstchen/model_index.json"))
        }
        for folder in ["wuerstchen-prior", "wuerstchen"] {
            let copy = try TinyCascade.copy()
            try copy.remove(folder)
            expectError(.fileNotFound, "/\(folder) ") { _ = try Cascade(contentsOf: copy.url) }
        }
    }

    @Test(
        "a file that is not there",
        arguments: [
            "wuerstchen-prior/model_index.json", "wuerstchen/model_index.json",
            "wuerstchen-prior/prior/config.json",
            "wuerstchen-prior/prior/diffusion_pytorch_model.safetensors",
            "wuerstchen-prior/text_encoder/config.json",
            "wuerstchen-prior/text_encoder/model-00002-of-00002.safetensors",
            "wuerstchen/decoder/config.json",
            "wuerstchen/decoder/diffusion_pytorch_model.safetensors",
            "wuerstchen/vqgan/config.json", "wuerstchen/vqgan/diffusion_pytorch_model.safetensors",
            "wuerstchen/text_encoder/config.json", "wuerstchen/text_encoder/model.safetensors",
        ])
    func missingFile(_ path: String) throws {
        let copy = try TinyCascade.copy()
        try copy.remove(path)
        let folder = try #require(path.split(separator: "/").dropLast().last.map(String.init))
        let name = try #require(path.split(separator: "/").last.map(String.init))
        expectError(.fileNotFound, folder, name) { _ = try Cascade(contentsOf: copy.url) }
    }

    @Test("a sharded part without its index")
    func missingIndex() throws {
        let copy = try TinyCascade.copy()
        try copy.remove("wuerstchen-prior/text_encoder/model.safetensors.index.json")
        expectError(.fileNotFound, "wuerstchen-prior/text_encoder", "model.safetensors") {
            _ = try Cascade(contentsOf: copy.url)
        }
    }

    @Test("a tokenizer needs its vocabulary; the scheduler's file may be missing")
    func optionalFiles() throws {
        let copy = try TinyCascade.copy()
        try copy.remove("wuerstchen-prior/scheduler/scheduler_config.json")
        let cascade = try Cascade(contentsOf: copy.url)
        #expect(try cascade.stageC().schedule == NoiseSchedule())
        for name in ["vocab.json", "tokenizer.json"] {
            try copy.remove("wuerstchen-prior/tokenizer/\(name)")
        }
        expectError(.fileNotFound, "wuerstchen-prior/tokenizer", "vocab.json") {
            _ = try Cascade(contentsOf: copy.url)
        }
    }

    private static let configurations = [
        "wuerstchen-prior/model_index.json", "wuerstchen/model_index.json",
        "wuerstchen-prior/prior/config.json", "wuerstchen-prior/text_encoder/config.json",
        "wuerstchen-prior/scheduler/scheduler_config.json", "wuerstchen/decoder/config.json",
        "wuerstchen/vqgan/config.json", "wuerstchen/text_encoder/config.json",
        "wuerstchen-prior/tokenizer/tokenizer_config.json",
    ]

    @Test("a configuration that is not JSON, or not an object", arguments: configurations)
    func notJSON(_ path: String) throws {
        let copy = try TinyCascade.copy()
        let deep = String(repeating: "[", count: 100_000)
        for text in [
            "", "{", "not JSON", "[]", "null", "7", "\"text\"", "{\"c\": }", deep,
            "\0",
        ] {
            try copy.write(text, to: path)
            expectError(.malformedFile, path) { _ = try Cascade(contentsOf: copy.url) }
        }
        try copy.write([0xFF, 0xFE, 0x00, 0xD8], to: path)
        expectError(.malformedFile, path) { _ = try Cascade(contentsOf: copy.url) }
    }

    @Test("a folder where a configuration should be", arguments: configurations)
    func folderForFile(_ path: String) throws {
        let copy = try TinyCascade.copy()
        try copy.remove(path)
        try FileManager.default.createDirectory(
            at: copy.file(path), withIntermediateDirectories: true)
        expectError(.unreadableFile, path) { _ = try Cascade(contentsOf: copy.url) }
    }

    @Test("a configuration that is a device, a pipe or far too large is not read")
    func noSmallFile() throws {
        let path = try #require(Self.configurations.first)
        let make: [(String) -> Void] = [
            { mkfifo($0, 0o600) }, { symlink("/dev/zero", $0) },
            {
                _ = FileManager.default.createFile(atPath: $0, contents: nil)
                truncate($0, 1 << 30)
            },
        ]
        for make in make {
            let copy = try TinyCascade.copy()
            try copy.remove(path)
            make(copy.file(path).path)
            expectError(.unreadableFile, path) { _ = try Cascade(contentsOf: copy.url) }
        }
    }

    @Test(
        "a field of another type",
        arguments: [
            ("wuerstchen-prior/model_index.json", "resolution_multiple", "\"10\""),
            ("wuerstchen-prior/prior/config.json", "depth", "\"2\""),
            ("wuerstchen-prior/prior/config.json", "c", "[30]"),
            ("wuerstchen-prior/prior/config.json", "nhead", "false"),
            ("wuerstchen-prior/text_encoder/config.json", "hidden_size", "{}"),
            ("wuerstchen-prior/text_encoder/config.json", "hidden_act", "3"),
            ("wuerstchen/decoder/config.json", "blocks", "3"),
            ("wuerstchen/decoder/config.json", "nhead", "[2, null, 5]"),
            ("wuerstchen/decoder/config.json", "inject_effnet", "[1, 0, 1]"),
            ("wuerstchen/decoder/config.json", "level_config", "[[\"C\"], \"T\", \"A\"]"),
            ("wuerstchen/vqgan/config.json", "levels", "true"),
            ("wuerstchen/vqgan/config.json", "scale_factor", "\"0.4\""),
        ])
    func wrongType(path: String, field: String, value: String) throws {
        let copy = try TinyCascade.copy()
        try copy.setField(field, to: value, in: path)
        expectError(.malformedFile, path, field) { _ = try Cascade(contentsOf: copy.url) }
    }

    @Test(
        "a field that has no default",
        arguments: [
            "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        ])
    func missingField(_ field: String) throws {
        let copy = try TinyCascade.copy()
        try copy.setField(field, to: nil, in: "wuerstchen/text_encoder/config.json")
        expectError(.malformedFile, "wuerstchen/text_encoder/config.json", field) {
            _ = try Cascade(contentsOf: copy.url)
        }
    }
}
