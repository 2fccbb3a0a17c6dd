import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@Suite("Variants of a checkpoint") struct CheckpointVariantTests {
    /// The fixtures' checkpoint with `.fp16` in the names of all files of weights.
    private static func halved() throws -> CheckpointCopy {
        let copy = try TinyCascade.copy()
        for (folder, stem) in [
            ("wuerstchen-prior/prior", "diffusion_pytorch_model"),
            ("wuerstchen/decoder", "diffusion_pytorch_model"),
            ("wuerstchen/vqgan", "diffusion_pytorch_model"), ("wuerstchen/text_encoder", "model"),
        ] {
            try copy.rename(
                "\(folder)/\(stem).safetensors", to: "\(folder)/\(stem).fp16.safetensors")
        }
        try copy.rename(
            "wuerstchen-prior/text_encoder/model.safetensors.index.json",
            to: "wuerstchen-prior/text_encoder/model.safetensors.index.fp16.json")
        return copy
    }

    @Test("the only variant is taken, asked for or not", arguments: [nil, "fp16"])
    func only(variant: String?) throws {
        let copy = try Self.halved()
        let request = try TinyCascade.request()
        let images = try Cascade(contentsOf: copy.url, variant: variant).makeImages(for: request)
        #expect(try images == TinyCascade.load().makeImages(for: request))
    }

    @Test("a variant that is not there", arguments: ["bf16", "", "fp", "f/16", ".."])
    func unknown(variant: String) throws {
        let copy = try Self.halved()
        do {
            _ = try Cascade(contentsOf: copy.url, variant: variant)
            Issue.record("nothing was thrown")
        } catch let error as WuerstchenError {
            #expect([.fileNotFound, .invalidRequest].contains(error.code), "\(error)")
            #expect(error.message.contains(copy.url.path), "\(error)")
        }
    }

    @Test("several variants need a choice")
    func several() throws {
        let copy = try Self.halved()
        let folder = "wuerstchen/vqgan/diffusion_pytorch_model"
        try FileManager.default.copyItem(
            at: copy.file("\(folder).fp16.safetensors"),
            to: copy.file("\(folder).bf16.safetensors"))
        expectError(.invalidRequest, "wuerstchen/vqgan", "bf16", "fp16") {
            _ = try Cascade(contentsOf: copy.url)
        }
        #expect(throws: Never.self) { try Cascade(contentsOf: copy.url, variant: "fp16") }
    }
}
