public import Wuerstchen

/// The sizes of a cascade's networks, and of the images that they are trained on.
public struct CascadeArchitecture: Sendable, Hashable, Codable {
    /// The side of square images, in pixels; others get as many pixels.
    public var side: Int
    /// The side of the squares that Stage A learns from.
    public var crop: Int
    /// How many images are computed at a time, to need less memory; nil for all of a step.
    public var microBatch: Int?
    /// Stage A's numbers.
    public var stageA: StageA.Configuration
    /// Stage B's numbers.
    public var stageB: StageB.Configuration
    /// Stage C's numbers.
    public var stageC: StageC.Configuration
    /// The text encoder's numbers. Positions and vocabulary are the tokenizer's.
    public var text: CLIPTextModel.Configuration
    /// The numbers of the text encoder in front of Stage B; nil for those of ``text``.
    public var decoderText: CLIPTextModel.Configuration?

    /// An architecture of the given numbers.
    public init(
        side: Int, crop: Int, stageA: StageA.Configuration, stageB: StageB.Configuration,
        stageC: StageC.Configuration, text: CLIPTextModel.Configuration
    ) {
        (self.side, self.crop) = (side, crop)
        (self.stageA, self.stageB, self.stageC) = (stageA, stageB, stageC)
        self.text = text
    }

    /// How semantic latents relate to images. The compressor's are normalised already: Stage C's
    /// output is what Stage B takes.
    public static let latentSpace = SemanticLatentSpace(scale: 1, offset: 0)

    /// 128×128 images, some three million parameters: for a first look within an hour.
    public static let tiny: CascadeArchitecture = {
        var a = StageA.Configuration()
        (a.channels, a.bottleneckBlocks, a.codes) = (32, 2, 256)
        var b = StageB.Configuration()
        (b.channels, b.blocks, b.blockTypes) = ([32, 64, 96], [1, 1, 2], ["CT", "CT", "CTA"])
        (b.heads, b.injectsSemantics) = ([-1, -1, 3], [false, true, true])
        (b.conditioningChannels, b.textChannels) = (32, 96)
        var c = StageC.Configuration()
        (c.channels, c.textChannels, c.depth, c.heads) = (128, 96, 4, 4)
        return CascadeArchitecture(
            side: 128, crop: 64, stageA: a, stageB: b, stageC: c,
            text: CLIPTextModel.Configuration(
                channels: 96, hiddenChannels: 384, layers: 2, heads: 3))
    }()

    /// 256×256 images, twelve million parameters: the miniature's sizes.
    public static let small: CascadeArchitecture = {
        var a = StageA.Configuration()
        (a.channels, a.bottleneckBlocks, a.codes) = (96, 4, 4096)
        // Three levels of 32, 16 and 8 positions a side.
        var b = StageB.Configuration()
        (b.channels, b.blocks, b.blockTypes) = ([96, 128, 192], [2, 2, 3], ["CT", "CT", "CTA"])
        (b.heads, b.injectsSemantics) = ([-1, -1, 6], [false, true, true])
        (b.conditioningChannels, b.textChannels) = (64, 128)
        b.sampling = SamplingConfiguration(.dpmpp2M, steps: 12, guidance: 2)
        // 6×6 positions.
        var c = StageC.Configuration()
        (c.channels, c.textChannels, c.depth, c.heads) = (192, 128, 6, 6)
        c.sampling = SamplingConfiguration(.dpmpp2M, steps: 20, guidance: 4)
        return CascadeArchitecture(
            side: 256, crop: 128, stageA: a, stageB: b, stageC: c,
            text: CLIPTextModel.Configuration(
                channels: 128, hiddenChannels: 512, layers: 3, heads: 4))
    }()

    /// The published stages at 512×512 images, with one text encoder of Stage B's width for both.
    public static let published: CascadeArchitecture = {
        let b = StageB.Configuration()
        var c = StageC.Configuration()
        c.textChannels = b.textChannels
        var result = CascadeArchitecture(
            side: 512, crop: 128, stageA: StageA.Configuration(), stageB: b, stageC: c,
            text: .huge)
        result.microBatch = 1
        return result
    }()

    /// Refuses networks that do not fit together.
    func validate() throws {
        var misfits = Misfits()
        try misfits.collect { try stageB.requireFit(decoderText ?? text) }
        try misfits.collect { try stageC.requireFit(text) }
        try misfits.collect { try stageB.requireFit(stageA) }
        try misfits.collect {
            try stageB.requireFit(semanticChannels: SemanticCompressor.latentChannels)
        }
        try misfits.collect {
            try stageC.requireFit(semanticChannels: SemanticCompressor.latentChannels)
        }
        try misfits.report()
    }
}
