public import Wuerstchen
internal import WuerstchenTraining

/// The sizes of the small cascade: 256×256 images, twelve million parameters.
public enum MiniatureArchitecture {
    /// Stage A: latents of 64×64 positions.
    public static let stageA = CascadeArchitecture.small.stageA

    /// Stage B: three levels of 32, 16 and 8 positions a side.
    public static let stageB = CascadeArchitecture.small.stageB

    /// Stage C: 6×6 positions.
    public static let stageC = CascadeArchitecture.small.stageC

    /// The text encoders.
    public static let text: CLIPTextModel.Configuration = {
        var c = CascadeArchitecture.small.text
        (c.positions, c.vocabularySize) = (32, 810)
        return c
    }()

    /// The compressor's latents are normalised already: Stage C's output is what Stage B takes.
    public static let latentSpace = CascadeArchitecture.latentSpace
}
