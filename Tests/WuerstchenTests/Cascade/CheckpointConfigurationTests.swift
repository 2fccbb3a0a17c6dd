import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// Configurations whose numbers cannot be: errors that name the field.
@Suite("Configurations of a checkpoint") struct CheckpointConfigurationTests {
    private static let fields: [(path: String, names: [String])] = [
        ("wuerstchen-prior/prior/config.json", ["c", "c_in", "c_cond", "c_r", "depth", "nhead"]),
        (
            "wuerstchen-prior/text_encoder/config.json",
            [
                "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                "max_position_embeddings", "vocab_size",
            ]
        ),
        (
            "wuerstchen/decoder/config.json",
            ["c_in", "c_out", "c_r", "patch_size", "c_cond", "effnet_embd", "clip_embd"]
        ),
        (
            "wuerstchen/vqgan/config.json",
            [
                "embed_dim", "bottleneck_blocks", "levels", "latent_channels",
                "num_vq_embeddings", "up_down_scale_factor", "in_channels",
            ]
        ),
    ]

    @Test("numbers that are negative, zero or enormous", arguments: fields)
    func numbers(path: String, names: [String]) throws {
        for name in names {
            for value in ["-1", "0", "-9223372036854775808", "9223372036854775807"] {
                let copy = try TinyCascade.copy()
                try copy.setField(name, to: value, in: path)
                expectError(.invalidConfiguration, path, name, value) {
                    _ = try Cascade(contentsOf: copy.url)
                }
            }
            let copy = try TinyCascade.copy()
            try copy.setField(name, to: "1e18", in: path)
            expectError(.invalidConfiguration, path, name) { _ = try Cascade(contentsOf: copy.url) }
            try copy.setField(name, to: "1e30", in: path)
            expectError(.malformedFile, path) { _ = try Cascade(contentsOf: copy.url) }
        }
    }

    @Test(
        "values that contradict each other or are not supported",
        arguments: [
            ("wuerstchen-prior/prior/config.json", "nhead", "4"),
            ("wuerstchen-prior/prior/config.json", "c_r", "3"),
            ("wuerstchen-prior/text_encoder/config.json", "num_attention_heads", "4"),
            ("wuerstchen-prior/text_encoder/config.json", "hidden_act", "\"relu\""),
            ("wuerstchen/decoder/config.json", "nhead", "[0, -1, 5]"),
            ("wuerstchen/decoder/config.json", "nhead", "[5, -1, 5]"),
            ("wuerstchen/decoder/config.json", "nhead", "[2, 5]"),
            ("wuerstchen/decoder/config.json", "nhead", "[]"),
            ("wuerstchen/decoder/config.json", "blocks", "[1, 2, 0]"),
            ("wuerstchen/decoder/config.json", "blocks", "[1, 2, 1, 1]"),
            ("wuerstchen/decoder/config.json", "c_hidden", "[12, 16, -20]"),
            ("wuerstchen/decoder/config.json", "level_config", "[\"CTA\", \"CX\", \"TCA\"]"),
            ("wuerstchen/decoder/config.json", "nhead", "[2, -1, -1]"),
            ("wuerstchen/decoder/config.json", "inject_effnet", "[true]"),
            ("wuerstchen/decoder/config.json", "kernel_size", "4"),
            ("wuerstchen/decoder/config.json", "kernel_size", "-3"),
            ("wuerstchen/decoder/config.json", "c_out", "8"),
            ("wuerstchen/vqgan/config.json", "in_channels", "4"),
            ("wuerstchen/vqgan/config.json", "embed_dim", "1"),
            ("wuerstchen/vqgan/config.json", "levels", "64"),
            ("wuerstchen/vqgan/config.json", "scale_factor", "0"),
            ("wuerstchen-prior/model_index.json", "resolution_multiple", "0"),
            ("wuerstchen-prior/model_index.json", "resolution_multiple", "-42.67"),
            ("wuerstchen-prior/model_index.json", "resolution_multiple", "1e300"),
            ("wuerstchen-prior/model_index.json", "latent_mean", "0"),
            ("wuerstchen/model_index.json", "latent_dim_scale", "0"),
            ("wuerstchen/model_index.json", "latent_dim_scale", "-10.67"),
            ("wuerstchen/model_index.json", "latent_dim_scale", "999"),
            ("wuerstchen/scheduler/scheduler_config.json", "scaler", "0"),
            ("wuerstchen/scheduler/scheduler_config.json", "s", "-1"),
            ("wuerstchen/scheduler/scheduler_config.json", "s", "1e18"),
        ])
    func contradictions(path: String, field: String, value: String) throws {
        let copy = try TinyCascade.copy()
        try copy.setField(field, to: value, in: path)
        expectError(.invalidConfiguration, path, field) {
            _ = try Cascade(contentsOf: copy.url)
        }
    }

    @Test("a tokenizer that makes more tokens than the text encoder has positions")
    func length() throws {
        let copy = try TinyCascade.copy()
        try copy.setField(
            "model_max_length", to: "25", in: "wuerstchen/tokenizer/tokenizer_config.json")
        expectError(.invalidVocabulary, "25", "24", "model_max_length") {
            _ = try Cascade(contentsOf: copy.url)
        }
    }

    @Test("a shorter tokenizer is fine")
    func shortLength() throws {
        let copy = try TinyCascade.copy()
        try copy.setField(
            "model_max_length", to: "2", in: "wuerstchen/tokenizer/tokenizer_config.json")
        let images = try Cascade(contentsOf: copy.url).makeImages(for: TinyCascade.request())
        #expect(images.count == 1)
    }

    @Test("a vocabulary that is larger than the text encoder's")
    func vocabulary() throws {
        let copy = try TinyCascade.copy()
        try copy.setField(
            "zzzz</w>", to: "674", in: "wuerstchen-prior/tokenizer/vocab.json")
        expectError(.invalidVocabulary, "675", "674") { _ = try Cascade(contentsOf: copy.url) }
        for id in ["-1", "1e18", "9e99"] {
            try copy.setField("zzzz</w>", to: id, in: "wuerstchen-prior/tokenizer/vocab.json")
            #expect(throws: WuerstchenError.self) { try Cascade(contentsOf: copy.url) }
        }
    }
}
