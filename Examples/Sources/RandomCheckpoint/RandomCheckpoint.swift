import ArgumentParser
import ExampleSupport
import Foundation
import TensorCore
import Wuerstchen
import WuerstchenTraining

/// Writes a checkpoint of random weights in the published layout and at the published sizes: the
/// real amount of memory and arithmetic, without a download.
@main struct RandomCheckpoint: Command {
    static let configuration = CommandConfiguration(
        commandName: "random-checkpoint",
        abstract: "Write a random checkpoint in the published layout.",
        discussion: """
            The full size takes 12.4 GB of disk. Its images are noise; it serves to see how much \
            time and memory the published networks take on a machine.
            """)

    enum Size: String, ExpressibleByArgument, CaseIterable {
        case full, small
    }

    @Argument(help: "The folder to write; wuerstchen-prior and wuerstchen are made in it.")
    var directory: String

    @Option(help: "The published sizes, or the same layout with small numbers.")
    var size = Size.full

    @Option(help: "The seed of the weights; -1 for a random one, which is printed.")
    var seed = Seed(0)

    @OptionGroup var replacement: ReplacementArguments

    /// What the weights' metadata says of where they are from.
    private static let origin = (key: "origin", value: "random-checkpoint")

    func run() throws {
        let root = URL(fileURLWithPath: directory)
        try replacement.check(try pipelines(in: root), isOwn: isOwn)
        seed.announce()
        let export = CheckpointExport(
            to: root, elementType: .float32, metadata: [Self.origin.key: Self.origin.value])
        let (prior, decoder) = (
            RandomParameters(seed: seed.value), RandomParameters(seed: seed.value &+ 1)
        )
        let (a, b, c) = (stageA(), stageB(), stageC())
        let priorText = textModel(.bigG, channels: c.textChannels)
        let decoderText = textModel(.huge, channels: b.textChannels)
        try export.write(from: prior, c, to: \.stageC) {
            _ = try StageC(configuration: c, parameters: $0)
        }
        try export.write(from: prior, priorText, to: \.priorTextEncoder) {
            _ = try CLIPTextModel(configuration: priorText, parameters: $0)
        }
        try export.write(from: decoder, b, to: \.stageB) {
            _ = try StageB(configuration: b, parameters: $0)
        }
        try export.write(from: decoder, a, to: \.stageA) {
            _ = try StageA(configuration: a, parameters: $0)
        }
        try export.write(from: decoder, decoderText, to: \.decoderTextEncoder) {
            _ = try CLIPTextModel(configuration: decoderText, parameters: $0)
        }
        try export.writePriorIndex(
            space: SemanticLatentSpace(), side: size == .full ? 1024 : 256,
            schedule: NoiseSchedule())
        try export.writeDecoderIndex(space: SemanticLatentSpace(), schedule: NoiseSchedule())
        let layout = CheckpointLayout.published
        for (pipeline, text) in [(layout.prior, priorText), (layout.decoder, decoderText)] {
            try ByteTokenizer.write(
                vocabularySize: text.vocabularySize,
                to: root.appendingPathComponent("\(pipeline)/\(layout.tokenizer)"))
        }
        print("\(root.path): done")
    }

    /// The folders that are written to, unless there is nothing in them yet.
    private func pipelines(in root: URL) throws -> [URL] {
        let layout = CheckpointLayout.published
        return [layout.prior, layout.decoder].map { root.appendingPathComponent($0) }
            .filter { !files(in: $0).isEmpty }
    }

    private func files(in folder: URL) -> [URL] {
        let found = FileManager.default.enumerator(
            at: folder, includingPropertiesForKeys: [.isRegularFileKey])
        return (found?.compactMap { $0 as? URL } ?? []).filter {
            (try? $0.resourceValues(forKeys: [.isRegularFileKey]))?.isRegularFile == true
                && $0.pathExtension != "partial"
        }
    }

    /// Whether a pipeline has weights, all of them from this command.
    private func isOwn(_ pipeline: URL) -> Bool {
        let weights = files(in: pipeline).filter {
            ["safetensors", "bin"].contains($0.pathExtension)
        }
        return !weights.isEmpty
            && weights.allSatisfy {
                (try? Safetensors(contentsOf: $0))?.metadata[Self.origin.key] == Self.origin.value
            }
    }

    private func stageC() -> StageC.Configuration {
        var c = StageC.Configuration()
        if size == .small {
            (c.channels, c.textChannels, c.depth, c.heads) = (64, 32, 2, 2)
        }
        return c
    }

    private func stageB() -> StageB.Configuration {
        var b = StageB.Configuration()
        if size == .small {
            (b.channels, b.heads, b.blocks) = ([16, 32, 32, 32], [-1, 2, 2, 2], [1, 1, 1, 1])
            (b.conditioningChannels, b.textChannels) = (32, 32)
        }
        return b
    }

    private func stageA() -> StageA.Configuration {
        var a = StageA.Configuration()
        if size == .small { (a.channels, a.bottleneckBlocks, a.codes) = (32, 1, 64) }
        return a
    }

    private func textModel(
        _ published: CLIPTextModel.Configuration, channels: Int
    ) -> CLIPTextModel.Configuration {
        var text = published
        if size == .small {
            (text.channels, text.hiddenChannels, text.layers, text.heads) = (channels, 64, 1, 2)
            text.vocabularySize = 514
        }
        return text
    }
}
