import ArgumentParser
import Foundation
import Wuerstchen

/// Writes a checkpoint of random weights in the published layout and at the published sizes: the real
/// amount of memory and arithmetic, without a download.
@main struct RandomCheckpoint: ParsableCommand {
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

    @Option(help: "The seed of the weights.")
    var seed: UInt64 = 0

    func run() throws {
        let root = URL(fileURLWithPath: directory)
        let prior = CheckpointWriter(root.appendingPathComponent("wuerstchen-prior"), seed: seed)
        let main = CheckpointWriter(root.appendingPathComponent("wuerstchen"), seed: seed &+ 1)
        let c = stageC()
        let b = stageB()
        let a = stageA()
        let priorText = textModel(.bigG, channels: c.textChannels)
        let mainText = textModel(.huge, channels: b.textChannels)

        try prior.write("prior", "diffusion_pytorch_model", c) {
            _ = try StageC(configuration: c, parameters: $0)
        }
        try prior.write("text_encoder", "model", priorText) {
            _ = try CLIPTextModel(configuration: priorText, parameters: $0)
        }
        try prior.writeTokenizer(vocabularySize: priorText.vocabularySize)
        try prior.writeIndex(
            ["latent_mean": 42, "latent_std": 1, "resolution_multiple": 42.67])

        try main.write("decoder", "diffusion_pytorch_model", b) {
            _ = try StageB(configuration: b, parameters: $0)
        }
        try main.write("vqgan", "diffusion_pytorch_model", a) {
            _ = try StageA(configuration: a, parameters: $0)
        }
        try main.write("text_encoder", "model", mainText) {
            _ = try CLIPTextModel(configuration: mainText, parameters: $0)
        }
        try main.writeTokenizer(vocabularySize: mainText.vocabularySize)
        try main.writeIndex(["latent_dim_scale": 10.67])
        print("\(root.path): done")
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
