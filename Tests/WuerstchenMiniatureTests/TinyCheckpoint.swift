import Foundation
import TensorCore
import Wuerstchen
import WuerstchenMiniature
import WuerstchenNN
import WuerstchenTraining
import _WuerstchenTestSupport

/// A checkpoint to be converted, and what is compared of two.
enum TinyCheckpoint {
    /// A checkpoint of tiny random networks with the miniature's tokenizers.
    static func make(
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
    static func tensors(_ file: URL) throws -> [String: [UInt8]] {
        let open = try Safetensors(contentsOf: file)
        return try open.entries.mapValues { entry in try open.withBytes(of: entry) { Array($0) } }
    }

    static func weights(_ checkpoint: URL) throws -> [String: [String: [UInt8]]] {
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

    static func image(_ checkpoint: URL, _ precision: Precision = .float32) throws -> Image {
        let options = SamplingOptions(timesteps: try Timesteps(count: 1), guidance: 0)
        return try Cascade(
            contentsOf: checkpoint, precision: precision, memory: .sequential
        ).makeImages(
            for: GenerationRequest(
                "a house", size: ImageSize(width: 128, height: 128), stageC: options,
                stageB: options))[0]
    }
}
