import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// What is wrong with any part of a checkpoint shows when it is opened, whether networks are loaded
/// then or in their turn, and all of it at once.
@Suite("Parts of a checkpoint that do not fit") struct CheckpointMisfitTests {
    private func expectRefused(
        _ copy: CheckpointCopy, _ code: WuerstchenError.Code, _ fragments: String...,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        for memory in MemoryPolicy.allCases {
            expectError(
                code, fragments, context: "\(memory)", sourceLocation: sourceLocation
            ) { _ = try Cascade(contentsOf: copy.url, memory: memory) }
        }
    }

    private static let networks = [
        "wuerstchen-prior/prior/diffusion_pytorch_model.safetensors",
        "wuerstchen/decoder/diffusion_pytorch_model.safetensors",
        "wuerstchen/vqgan/diffusion_pytorch_model.safetensors",
        "wuerstchen/text_encoder/model.safetensors",
    ]

    @Test("a tensor that is missing, surplus, of another shape or no floats", arguments: networks)
    func tensors(path: String) throws {
        let folder = path.split(separator: "/").dropLast().joined(separator: "/")
        var copy = try TinyCascade.copy()
        var victim = ""
        try copy.changeTensors(of: path) { tensors in
            victim = tensors.keys.filter { tensors[$0]?.shape.count == 2 }.sorted()[0]
            tensors[victim] = nil
        }
        expectRefused(copy, .incompatibleParameters, folder, "1 missing: \(victim)")

        copy = try TinyCascade.copy()
        try copy.changeTensors(of: path) { tensors in
            tensors["stray.weight"] = tensors[victim]
        }
        expectRefused(copy, .incompatibleParameters, folder, "1 surplus: stray.weight")

        copy = try TinyCascade.copy()
        try copy.changeTensors(of: path) { tensors in
            guard var record = tensors[victim] else { return }
            record.shape[0] += 1
            record.bytes = Array(
                repeating: 0, count: record.bytes.count / (record.shape[0] - 1) * record.shape[0])
            tensors[victim] = record
        }
        expectRefused(copy, .incompatibleParameters, folder, "1 misshapen: \(victim)")

        copy = try TinyCascade.copy()
        try copy.changeTensors(of: path) { tensors in
            guard var record = tensors[victim] else { return }
            record.elementType = .i64
            record.bytes = Array(repeating: 0, count: 8 * record.shape.reduce(1, *))
            tensors[victim] = record
        }
        expectRefused(copy, .incompatibleParameters, victim, "stored as I64")
    }

    @Test("widths of neighbours that are not equal")
    func widths() throws {
        var copy = try TinyCascade.copy()
        try copy.setField("embed_dim", to: "32", in: "wuerstchen/vqgan/config.json")
        expectRefused(copy, .incompatibleParameters, "vqgan", "misshapen")

        // Whole networks that do not belong together: the encoders change places.
        copy = try TinyCascade.copy()
        for name in ["config.json", "model.safetensors"] {
            try copy.remove("wuerstchen/text_encoder/\(name)")
        }
        let prior = "wuerstchen-prior/text_encoder"
        for file in try FileManager.default.contentsOfDirectory(atPath: copy.file(prior).path) {
            try FileManager.default.copyItem(
                at: copy.file("\(prior)/\(file)"), to: copy.file("wuerstchen/text_encoder/\(file)"))
        }
        expectRefused(copy, .invalidConfiguration, "clip_embd", "hidden_size")
    }

    @Test(
        "a vocabulary with more tokens than the encoder has",
        arguments: ["wuerstchen-prior", "wuerstchen"])
    func vocabulary(pipeline: String) throws {
        let copy = try TinyCascade.copy()
        let path = "\(pipeline)/tokenizer/vocab.json"
        let whole = try JSONSerialization.jsonObject(with: Data(copy.bytes(of: path)))
        let size = try #require(whole as? [String: Int]).count
        try copy.setField("onemoreword", to: "\(size + 40_000)", in: path)
        expectRefused(copy, .invalidVocabulary, "do not belong together")
    }

    @Test("everything that is wrong is said at once")
    func all() throws {
        let copy = try TinyCascade.copy()
        try copy.setField("c_in", to: "8", in: "wuerstchen-prior/prior/config.json")
        try copy.remove("wuerstchen/vqgan/diffusion_pytorch_model.safetensors")
        try copy.setField("clip_embd", to: "-3", in: "wuerstchen/decoder/config.json")
        try copy.write("{", to: "wuerstchen/scheduler/scheduler_config.json")
        expectRefused(
            copy, .incompatibleParameters, "things do not fit", "wuerstchen-prior/prior",
            "clip_embd is -3", "vqgan", "scheduler_config.json")
    }
}
