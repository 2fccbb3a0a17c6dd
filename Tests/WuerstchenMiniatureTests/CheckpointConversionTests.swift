import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenMiniature
import WuerstchenNN
import WuerstchenTraining
import _WuerstchenTestSupport

@Suite("Converting a checkpoint")
struct CheckpointConversionTests {
    /// A checkpoint of tiny random networks with the miniature's tokenizers.
    private static func tiny(
        in folder: TemporaryFolder, _ type: WeightElementType = .float32
    ) throws -> URL {
        let target = folder.url.appendingPathComponent("tiny")
        let (export, source) = (
            CheckpointExport(to: target, elementType: type), RandomParameters(seed: 4)
        )
        var (c, b, a) = (StageC.Configuration(), StageB.Configuration(), StageA.Configuration())
        (c.channels, c.textChannels, c.depth, c.heads) = (24, 16, 1, 3)
        (b.channels, b.heads, b.blocks) = ([8, 16], [-1, 2], [1, 1])
        (b.blockTypes, b.injectsSemantics) = (["CT", "CTA"], [false, true])
        (b.conditioningChannels, b.textChannels) = (12, 16)
        (a.channels, a.bottleneckBlocks, a.codes) = (16, 1, 6)
        var text = CLIPTextModel.Configuration.bigG
        (text.channels, text.hiddenChannels, text.layers, text.heads) = (16, 20, 1, 2)
        (text.vocabularySize, text.positions) = (810, 32)
        try export.write(from: source, c, to: \.stageC) {
            _ = try StageC(configuration: c, parameters: $0)
        }
        try export.write(from: source, b, to: \.stageB) {
            _ = try StageB(configuration: b, parameters: $0)
        }
        try export.write(from: source, a, to: \.stageA) {
            _ = try StageA(configuration: a, parameters: $0)
        }
        for place in [\CheckpointLayout.priorTextEncoder, \.decoderTextEncoder] {
            try export.write(from: source, text, to: place) {
                _ = try CLIPTextModel(configuration: text, parameters: $0)
            }
        }
        let space = SemanticLatentSpace(scale: 3, offset: 0.5)
        try export.writePriorIndex(
            space: space, side: 128, schedule: NoiseSchedule(offset: 0.02, scaler: 1))
        try export.writeDecoderIndex(space: space, schedule: NoiseSchedule())
        let tokenizer = try Miniature.folder().appendingPathComponent("wuerstchen/tokenizer")
        for pipeline in [\CheckpointLayout.prior, \.decoder] {
            try export.copyTokenizer(tokenizer, to: pipeline)
        }
        return target
    }

    /// What a file holds, byte for byte.
    private static func tensors(_ file: URL) throws -> [String: [UInt8]] {
        let open = try Safetensors(contentsOf: file)
        return try open.entries.mapValues { entry in try open.withBytes(of: entry) { Array($0) } }
    }

    private static func weights(_ checkpoint: URL) throws -> [String: [String: [UInt8]]] {
        let layout = CheckpointLayout.published
        var result: [String: [String: [UInt8]]] = [:]
        for network in [
            layout.stageC, layout.priorTextEncoder, layout.stageB, layout.stageA,
            layout.decoderTextEncoder,
        ] {
            result[network.path] = try tensors(
                checkpoint.appendingPathComponent("\(network.path)/\(network.stem).safetensors"))
        }
        return result
    }

    private static func image(_ checkpoint: URL, _ precision: Precision = .float32) throws -> Image
    {
        let options = SamplingOptions(timesteps: try Timesteps(count: 1), guidance: 0)
        return try Cascade(
            contentsOf: checkpoint, precision: precision, memory: .sequential
        ).makeImages(
            for: GenerationRequest(
                "a house", size: ImageSize(width: 128, height: 128), stageC: options,
                stageB: options))[0]
    }

    @Test(
        "to another layout and back, byte for byte",
        arguments: [CheckpointConversion.Layout.combined, .original],
        WeightElementType.allCases)
    func layouts(layout: CheckpointConversion.Layout, type: WeightElementType) throws {
        let folder = try TemporaryFolder()
        let tiny = try Self.tiny(in: folder, type)
        let (there, back) = (
            folder.url.appendingPathComponent("there"), folder.url.appendingPathComponent("back")
        )
        var found: [CheckpointConversion.Verification] = []
        try CheckpointConversion(of: tiny, to: layout).write(to: there) { found.append($0) }
        #expect(found.count == 5 && found.allSatisfy { $0.rounded == 0 && $0.elements > 100 })
        #expect(try Self.image(there) == Self.image(tiny))
        if layout == .original {
            let keys = try Self.tensors(there.appendingPathComponent("stage_c.safetensors")).keys
            #expect(keys.contains { $0.hasSuffix("attention.attn.in_proj_weight") })
            #expect(!keys.contains { $0.contains("to_q") })
        }
        try CheckpointConversion(of: there, to: .published).write(to: back)
        #expect(try Self.weights(back) == Self.weights(tiny))
        #expect(
            try Cascade(contentsOf: back, memory: .sequential).latentSpace
                == Cascade(contentsOf: tiny, memory: .sequential).latentSpace)
    }

    @Test(
        "halves to float32 and back, byte for byte",
        arguments: [WeightElementType.float16, .bfloat16])
    func types(type: WeightElementType) throws {
        let folder = try TemporaryFolder()
        let tiny = try Self.tiny(in: folder, type)
        let (wide, back) = (
            folder.url.appendingPathComponent("wide"), folder.url.appendingPathComponent("back")
        )
        try CheckpointConversion(of: tiny, to: .combined, elementType: .float32).write(to: wide)
        try CheckpointConversion(of: wide, to: .published, elementType: type).write(to: back)
        #expect(try Self.weights(back) == Self.weights(tiny))
        let rounded = folder.url.appendingPathComponent("rounded")
        let other: WeightElementType = type == .float16 ? .bfloat16 : .float16
        var found: [CheckpointConversion.Verification] = []
        try CheckpointConversion(of: tiny, to: .published, elementType: other)
            .write(to: rounded) { found.append($0) }
        // Of bfloat16 only the smallest numbers are none of float16's.
        #expect(found.contains { $0.rounded > 100 } == (type == .float16))
        #expect(found.allSatisfy { $0.largestError < 0.02 })
    }

    @Test("float16 is refused where a weight is too large for it")
    func overflow() throws {
        let folder = try TemporaryFolder()
        let tiny = try Self.tiny(in: folder)
        let file = tiny.appendingPathComponent(
            "wuerstchen/vqgan/diffusion_pytorch_model.safetensors")
        var values = try CheckpointParameters(contentsOf: file).values()
        values["out_block.0.bias"] = Tensor(repeating: 70_000, [12])
        try CheckpointExport(to: tiny, elementType: .float32)
            .write(
                values,
                StudentFolder(file.deletingLastPathComponent())
                    .configuration(StageA.Configuration.self), to: \.stageA)
        let target = folder.url.appendingPathComponent("target")
        expectError(.notFinite, "out_block.0.bias", "70000", "bfloat16") {
            try CheckpointConversion(of: tiny, to: .published, elementType: .float16)
                .write(to: target)
        }
        try CheckpointConversion(of: tiny, to: .published, elementType: .bfloat16)
            .write(to: target, replaces: true)
    }

    @Test("a folder with something in it is left alone, and a broken checkpoint refused")
    func refusals() throws {
        let folder = try TemporaryFolder()
        let tiny = try Self.tiny(in: folder)
        expectError(.unwritableFile, "not empty", "--force") {
            try CheckpointConversion(of: tiny, to: .combined).write(to: folder.url)
        }
        try FileManager.default.removeItem(
            at: tiny.appendingPathComponent("wuerstchen/decoder/config.json"))
        expectError(.fileNotFound, "decoder/config.json") {
            _ = try CheckpointConversion(of: tiny, to: .combined)
        }
    }
}
