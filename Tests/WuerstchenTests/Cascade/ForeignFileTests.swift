import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// What is handed in as weights, configuration or tokenizer and is something else: the error says
/// what it is and what to do.
@Suite("Files that are something else") struct ForeignFileTests {
    private static let weights = "wuerstchen/vqgan/diffusion_pytorch_model.safetensors"
    private static let shard = "wuerstchen-prior/text_encoder/model-00002-of-00002.safetensors"
    private static let index = "wuerstchen-prior/text_encoder/model.safetensors.index.json"
    private static let configuration = "wuerstchen-prior/prior/config.json"
    private static let vocabulary = "wuerstchen/tokenizer/vocab.json"
    private static let merges = "wuerstchen/tokenizer/merges.txt"
    /// Files in which no field has to be there.
    private static let lenient = [
        "wuerstchen-prior/model_index.json", "wuerstchen/model_index.json",
        "wuerstchen/tokenizer/tokenizer_config.json", "wuerstchen/tokenizer/tokenizer.json",
        "wuerstchen-prior/tokenizer/special_tokens_map.json",
        "wuerstchen/scheduler/scheduler_config.json",
    ]

    private static let pointer = """
        version https://git-lfs.github.com/spec/v1
        oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
        size 3976349352

        """
    private static func bytes(_ text: String, _ more: UInt8...) -> [UInt8] {
        Array(text.utf8) + more
    }

    private static func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

    private static let torchZip = bytes("PK", 3, 4, 0, 0, 8, 8) + zeros(22) + bytes("m/data.pkl")
    private static let tar = bytes("model/") + zeros(251) + bytes("ustar", 0)

    /// Contents, and words of the error for them.
    private static let contents: [(bytes: [UInt8], found: String, advice: String)] = [
        (bytes(pointer), "git-lfs left in place of the file of 3976349352", "git lfs pull"),
        (bytes("<!DOCTYPE html>\n<html><head>"), "a web page", "/resolve/"),
        (bytes("\n  <html lang=\"en\">"), "a web page", "/resolve/"),
        (bytes("<?xml version=\"1.0\"?><Error>"), "XML", "download it again"),
        (bytes("{\"error\": \"Repository not found\"}"), "Repository not found", "download"),
        (bytes("{\"message\":\"Not Found\"}"), "a server's answer (\"Not Found\")", "download"),
        (
            bytes(#"{"error": {"code": 404, "message": "No such file"}, "id": 7}"#),
            "a server's answer (\"No such file\")", "download"
        ),
        (bytes(#"{"errors": [{"message": "gone"}]}"#), "a server's answer (\"gone\")", "download"),
        (bytes("Entry not found"), "text (\"Entry not found\")", "download it again"),
        (bytes("GGUF", 3, 0, 0, 0, 1, 2, 3, 4), "a GGUF file", "safetensors"),
        (torchZip, "a pickle that PyTorch wrote", "safetensors"),
        ([0x80, 2, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9], "a Python pickle", "safetensors"),
        ([0x80, 5, 0x95, 1, 2, 3, 4, 5, 6], "a Python pickle", "safetensors"),
        (bytes("PK", 3, 4, 20, 0, 0, 0, 8, 0, 1, 2), "a ZIP archive", "unpack"),
        ([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 2, 3], "compressed with gzip", "gunzip"),
        ([0x28, 0xB5, 0x2F, 0xFD, 4, 5, 6, 7, 8], "compressed with Zstandard", "unzstd"),
        (tar, "a tar archive", "unpack"),
        ([0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A], "an HDF5 file", "safetensors"),
        ([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A], "an image", "which file is which"),
        (zeros(5000), "nothing but zeros", "interrupted"),
        (zeros(1 << 17), "zeros where it should begin", "interrupted"),
        ([], "empty", "download it again"),
    ]

    @Test(
        "in place of weights, shards, indices, configurations and a tokenizer's files",
        arguments: contents)
    func everywhere(bytes: [UInt8], found: String, advice: String) throws {
        let strict = [Self.weights, Self.shard, Self.index, Self.configuration, Self.vocabulary]
        for path in strict + Self.lenient {
            let copy = try TinyCascade.copy()
            try copy.write(bytes, to: path)
            expectError(.malformedFile, path, found, advice) {
                _ = try Cascade(contentsOf: copy.url)
            }
        }
    }

    @Test("in place of merges, whose lines of two words could be anything", arguments: contents)
    func inPlaceOfMerges(bytes: [UInt8], found: String, advice: String) throws {
        let copy = try TinyCascade.copy()
        try copy.write(bytes, to: Self.merges)
        do {
            _ = try Cascade(contentsOf: copy.url)
            Issue.record("\(found) was read as merges")
        } catch let error as WuerstchenError {
            #expect(error.message.contains(Self.merges), "\(error)")
        }
    }

    @Test("fields of a server's answer that say nothing are passed over")
    func noAnswer() throws {
        let copy = try TinyCascade.copy()
        for (field, value) in [
            ("error", "3"), ("message", #"{"id": 4}"#), ("detail", "null"),
            ("errors", #""replace""#),
        ] {
            try copy.setField(field, to: value, in: "wuerstchen/tokenizer/tokenizer_config.json")
        }
        #expect(throws: Never.self) { try Cascade(contentsOf: copy.url) }
    }

    @Test("a configuration in place of weights, and weights in place of a configuration")
    func swapped() throws {
        let copy = try TinyCascade.copy()
        let (weights, configuration) = (
            try copy.bytes(of: Self.weights), try copy.bytes(of: Self.configuration)
        )
        try copy.write(configuration, to: Self.weights)
        expectError(.malformedFile, Self.weights, "it is JSON") {
            _ = try Cascade(contentsOf: copy.url)
        }
        try copy.write(weights, to: Self.configuration)
        expectError(.malformedFile, Self.configuration, "it is a safetensors file") {
            _ = try Cascade(contentsOf: copy.url)
        }
    }

    // MARK: Text of other encodings

    @Test("a mark in front of UTF-8 is passed over")
    func byteOrderMark() throws {
        let copy = try TinyCascade.copy()
        for path in [Self.merges, Self.vocabulary, Self.configuration, Self.index] {
            try copy.write([0xEF, 0xBB, 0xBF] + copy.bytes(of: path), to: path)
        }
        let request = try TinyCascade.request()
        #expect(
            try Cascade(contentsOf: copy.url).makeImages(for: request)
                == TinyCascade.load().makeImages(for: request))
    }

    @Test("UTF-16 is named")
    func utf16() throws {
        let copy = try TinyCascade.copy()
        let text = String(decoding: try copy.bytes(of: Self.merges), as: UTF8.self)
        try copy.write(
            [0xFF, 0xFE] + text.utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] },
            to: Self.merges)
        expectError(.malformedFile, Self.merges, "UTF-16", "UTF-8") {
            _ = try Cascade(contentsOf: copy.url)
        }
    }

    @Test("merges of a header alone", arguments: ["#version: 0.2\n", "\n", "#version: 0.2"])
    func noMerges(text: String) throws {
        let copy = try TinyCascade.copy()
        try copy.write(text, to: Self.merges)
        expectError(.invalidVocabulary, Self.merges, "no merges", "download it again") {
            _ = try Cascade(contentsOf: copy.url)
        }
    }

    // MARK: What is not there

    @Test(
        "weights of another format, or an unfinished download, beside the place",
        arguments: [
            ("diffusion_pytorch_model.bin", "only safetensors are read"),
            ("diffusion_pytorch_model.ckpt", "only safetensors are read"),
            ("vqgan-Q8_0.gguf", "only safetensors are read"),
            ("diffusion_pytorch_model.safetensors.incomplete", "interrupted"),
            ("diffusion_pytorch_model.safetensors.part", "interrupted"),
            ("Unconfirmed 1234.crdownload", "interrupted"),
            (".cache/huggingface/download/x.1a2b.incomplete", "interrupted"),
        ])
    func beside(name: String, words: String) throws {
        let copy = try TinyCascade.copy()
        try copy.remove(Self.weights)
        let other = copy.file("wuerstchen/vqgan/\(name)")
        try FileManager.default.createDirectory(
            at: other.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data([1]).write(to: other)
        let shown = String(name.split(separator: "/").last ?? "")
        expectError(.fileNotFound, "wuerstchen/vqgan", shown, words) {
            _ = try Cascade(contentsOf: copy.url)
        }
    }

    @Test(
        "a link to something that is gone",
        arguments: [
            weights, shard, configuration, vocabulary, merges, "wuerstchen/model_index.json",
            "wuerstchen/tokenizer/tokenizer_config.json",
            "wuerstchen/scheduler/scheduler_config.json",
        ])
    func danglingLink(path: String) throws {
        let copy = try TinyCascade.copy()
        try copy.remove(path)
        try FileManager.default.createSymbolicLink(
            atPath: copy.file(path).path, withDestinationPath: "../../blobs/0a1b2c")
        let parts = path.split(separator: "/").map(String.init)
        let folder = parts.dropLast().joined(separator: "/")
        expectError(
            .fileNotFound, folder, parts[parts.count - 1],
            "a link to ../../blobs/0a1b2c, which is gone"
        ) { _ = try Cascade(contentsOf: copy.url) }
    }

    // MARK: Other models

    @Test(
        "the configuration of another class",
        arguments: [
            ("wuerstchen-prior/prior/config.json", "StableCascadeUNet"),
            ("wuerstchen-prior/prior/config.json", "WuerstchenDiffNeXt"),
            ("wuerstchen/decoder/config.json", "UNet2DConditionModel"),
            ("wuerstchen/vqgan/config.json", "AutoencoderKL"),
            ("wuerstchen/vqgan/config.json", "VQModel"),
            ("wuerstchen/scheduler/scheduler_config.json", "EulerDiscreteScheduler"),
            ("wuerstchen-prior/model_index.json", "StableCascadePriorPipeline"),
            ("wuerstchen-prior/model_index.json", "WuerstchenDecoderPipeline"),
            ("wuerstchen/model_index.json", "StableDiffusionPipeline"),
        ])
    func otherClass(path: String, name: String) throws {
        let copy = try TinyCascade.copy()
        try copy.setField("_class_name", to: "\"\(name)\"", in: path)
        expectError(.invalidConfiguration, path, name, "which file is which") {
            _ = try Cascade(contentsOf: copy.url)
        }
        // A file need not name its class.
        try copy.setField("_class_name", to: nil, in: path)
        #expect(throws: Never.self) { try Cascade(contentsOf: copy.url) }
    }

    @Test("a text encoder of another type")
    func otherType() throws {
        let copy = try TinyCascade.copy()
        let path = "wuerstchen/text_encoder/config.json"
        try copy.setField("model_type", to: "\"t5\"", in: path)
        expectError(.invalidConfiguration, path, "t5", "clip_text_model") {
            _ = try Cascade(contentsOf: copy.url)
        }
    }

    @Test(
        "fields that the network does not have",
        arguments: [
            ("wuerstchen-prior/prior/config.json", "block_out_channels", "c_cond"),
            ("wuerstchen/decoder/config.json", "num_attention_heads", "inject_effnet"),
            ("wuerstchen/vqgan/config.json", "down_block_types", "embed_dim"),
            ("wuerstchen/scheduler/scheduler_config.json", "beta_start", "scaler"),
        ])
    func unknownFields(path: String, field: String, own: String) throws {
        let copy = try TinyCascade.copy()
        try copy.setField("_note", to: "\"passed over\"", in: path)
        #expect(throws: Never.self) { try Cascade(contentsOf: copy.url) }
        try copy.setField(field, to: "[320, 640]", in: path)
        expectError(.invalidConfiguration, path, field, own) {
            _ = try Cascade(contentsOf: copy.url)
        }
    }

    @Test("hundreds of parameters that are missing are counted and cut short")
    func manyMissing() throws {
        let copy = try TinyCascade.copy()
        try copy.setField("depth", to: "30", in: "wuerstchen-prior/prior/config.json")
        do {
            _ = try Cascade(contentsOf: copy.url)
            Issue.record("nothing was thrown")
        } catch let error as WuerstchenError {
            #expect(error.code == .incompatibleParameters)
            #expect(error.message.contains(" missing, such as blocks."), "\(error)")
            #expect(error.message.count < 800, "\(error.message.count) characters")
        }
    }

    // MARK: What the reference does

    @Test("surplus tensors that the reference ignores")
    func surplus() throws {
        let copy = try TinyCascade.copy()
        let request = try TinyCascade.request()
        for (path, names) in [
            (
                "wuerstchen/text_encoder/model.safetensors",
                [
                    "logit_scale", "text_model.embeddings.position_ids", "text_projection.weight",
                    "visual_projection.weight", "vision_model.encoder.layers.0.mlp.fc1.weight",
                ]
            ), (Self.weights, ["up_blocks.0.num_batches_tracked"]),
        ] {
            try copy.changeTensors(of: path) { tensors in
                for name in names {
                    tensors[name] = .init(
                        elementType: .i64, shape: [1], bytes: [1] + Array(repeating: 0, count: 7))
                }
                tensors["nothing.weight"] = .init(elementType: .f32, shape: [0, 4], bytes: [])
            }
        }
        #expect(
            try Cascade(contentsOf: copy.url).makeImages(for: request)
                == TinyCascade.load().makeImages(for: request))
    }

    @Test("an index counts for diffusers' networks, a single file for transformers' encoders")
    func staleFiles() throws {
        let copy = try TinyCascade.copy()
        func damage(_ tensors: inout [String: CheckpointCopy.Record]) {
            for name in tensors.keys { tensors[name]?.becomeNaN() }
        }
        // A stale single file beside Stage A's shards.
        try copy.rename(
            Self.weights, to: "wuerstchen/vqgan/diffusion_pytorch_model-00001.safetensors")
        let names = try Safetensors(
            contentsOf: copy.file("wuerstchen/vqgan/diffusion_pytorch_model-00001.safetensors")
        ).entries.keys
        let map = names.map { "\"\($0)\": \"diffusion_pytorch_model-00001.safetensors\"" }
        try copy.write(
            "{\"weight_map\": {\(map.joined(separator: ", "))}}",
            to: "wuerstchen/vqgan/diffusion_pytorch_model.safetensors.index.json")
        try FileManager.default.copyItem(
            at: copy.file("wuerstchen/vqgan/diffusion_pytorch_model-00001.safetensors"),
            to: copy.file(Self.weights))
        try copy.changeTensors(of: Self.weights, damage)
        // A stale index with shards beside a text encoder's single file.
        let file = "wuerstchen/text_encoder/model"
        try FileManager.default.copyItem(
            at: copy.file("\(file).safetensors"), to: copy.file("\(file)-00001.safetensors"))
        try copy.changeTensors(of: "\(file)-00001.safetensors", damage)
        let others = try Safetensors(contentsOf: copy.file("\(file).safetensors")).entries.keys
        let stale = others.map { "\"\($0)\": \"model-00001.safetensors\"" }
        try copy.write(
            "{\"weight_map\": {\(stale.joined(separator: ", "))}}",
            to: "\(file).safetensors.index.json")

        let request = try TinyCascade.request()
        #expect(
            try Cascade(contentsOf: copy.url).makeImages(for: request)
                == TinyCascade.load().makeImages(for: request))
    }

    @Test("parts that lack the variant take their plain weights, and are named")
    func partialVariant() throws {
        let copy = try TinyCascade.copy()
        for path in [
            "wuerstchen-prior/prior/diffusion_pytorch_model",
            "wuerstchen/decoder/diffusion_pytorch_model",
        ] {
            try copy.rename("\(path).safetensors", to: "\(path).fp16.safetensors")
        }
        let cascade = try Cascade(contentsOf: copy.url, variant: "fp16")
        let request = try TinyCascade.request()
        #expect(try cascade.makeImages(for: request) == TinyCascade.load().makeImages(for: request))
        let notes = cascade.notes
        #expect(notes.count == 3, "\(notes)")
        for part in [
            "wuerstchen-prior/text_encoder", "wuerstchen/text_encoder", "wuerstchen/vqgan",
        ] {
            #expect(
                notes.contains { $0.contains("\(part) has no variant fp16; its plain weights") },
                "\(notes)")
        }
        #expect(try Cascade(contentsOf: copy.url).notes == [])
        // A pipeline in which no part has it does not have it.
        try copy.rename(
            "wuerstchen/decoder/diffusion_pytorch_model.fp16.safetensors",
            to: "wuerstchen/decoder/diffusion_pytorch_model.safetensors")
        expectError(.fileNotFound, "wuerstchen/", "fp16") {
            _ = try Cascade(contentsOf: copy.url, variant: "fp16")
        }
    }
}
