import Foundation
import TensorCore
import Wuerstchen
import WuerstchenNN
import WuerstchenTraining

/// A checkpoint in the published layout of a few random numbers, with a tokenizer of some words.
enum RandomCheckpoint {
    /// The words that its tokenizer has.
    static let captions = ["picture number 0", "picture number 1 2 3"]

    static func write(to folder: URL, seed: UInt64 = 9) throws {
        var architecture = CascadeTrainingTests.architecture
        let export = CheckpointExport(to: folder, elementType: .float32)
        let space = CascadeArchitecture.latentSpace
        let words = folder.appendingPathComponent("words")
        try CaptionTokenizer(captions: captions).write(to: words)
        let tokenizer = try CLIPTokenizer(contentsOf: words)
        (architecture.text.positions, architecture.text.vocabularySize) =
            (tokenizer.length, tokenizer.vocabularySize)
        for pipeline in [\CheckpointLayout.prior, \.decoder] {
            try export.copyTokenizer(words, to: pipeline)
        }
        try FileManager.default.removeItem(at: words)
        try export.writePriorIndex(
            space: space, side: architecture.side, schedule: NoiseSchedule())
        try export.writeDecoderIndex(space: space, schedule: NoiseSchedule(offset: 0.01))
        var text = TrainableParameters()
        try text.addText(architecture.text, seed: seed)
        for network in [\CheckpointLayout.priorTextEncoder, \.decoderTextEncoder] {
            try export.write(text.scope("text"), architecture.text, to: network)
        }
        let source = InitialParameters(seed: seed)
        try export.write(from: source, architecture.stageA, to: \.stageA) {
            _ = try StageA(configuration: architecture.stageA, parameters: $0)
        }
        try export.write(from: source, architecture.stageB, to: \.stageB) {
            _ = try StageB(configuration: architecture.stageB, parameters: $0)
        }
        try export.write(from: source, architecture.stageC, to: \.stageC) {
            _ = try StageC(configuration: architecture.stageC, parameters: $0)
        }
        var others = TrainableParameters()
        try others.add("compressor", from: source) {
            _ = try SemanticCompressor(architecture: .residual, parameters: $0)
        }
        try others.add("preview", from: source) { _ = try PreviewDecoder(residual: $0) }
        try export.write(others.scope("compressor"), toFile: "compressor.safetensors")
        try export.write(others.scope("preview"), toFile: "preview.safetensors")
    }
}
