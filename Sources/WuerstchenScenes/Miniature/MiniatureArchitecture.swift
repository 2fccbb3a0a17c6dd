public import Wuerstchen

/// The sizes of the small cascade: 256×256 images, eleven million parameters.
public enum MiniatureArchitecture {
    /// Stage A: latents of 64×64 positions.
    public static let stageA: StageA.Configuration = {
        var c = StageA.Configuration()
        (c.channels, c.bottleneckBlocks, c.codes) = (64, 4, 512)
        return c
    }()

    /// Stage B: three levels of 32, 16 and 8 positions a side.
    public static let stageB: StageB.Configuration = {
        var c = StageB.Configuration()
        (c.channels, c.blocks, c.blockTypes) = ([64, 128, 192], [2, 2, 3], ["CT", "CT", "CTA"])
        (c.heads, c.injectsSemantics) = ([-1, -1, 6], [false, true, true])
        (c.conditioningChannels, c.textChannels) = (64, 128)
        return c
    }()

    /// Stage C: 6×6 positions.
    public static let stageC: StageC.Configuration = {
        var c = StageC.Configuration()
        (c.channels, c.textChannels, c.depth, c.heads) = (192, 128, 6, 6)
        return c
    }()

    /// The text encoders.
    public static let text: CLIPTextModel.Configuration = {
        var c = CLIPTextModel.Configuration(
            channels: 128, hiddenChannels: 512, layers: 3, heads: 4)
        (c.positions, c.vocabularySize) = (32, 810)
        return c
    }()

    /// The compressor's latents are normalised already: Stage C's output is what Stage B takes.
    public static let latentSpace = SemanticLatentSpace(scale: 1, offset: 0)
}
