public import Foundation
public import Wuerstchen

/// A stage that is part of a cascade, and that can be distilled there.
public protocol CascadeStage: FeatureStage where Configuration: DistillableConfiguration {
    /// Where the stage lies in a checkpoint.
    static var network: CheckpointLayout.Network { get }
    /// The share of couplings without caption if no other is wanted.
    static var captionDropout: Float { get }
    /// Whether the stage is conditioned on semantic latents.
    static var takesSemantics: Bool { get }

    /// The folder that stands in for the checkpoint's own; nil for none.
    static func replacement(in folders: StageFolders) -> URL?

    /// The stage of a cascade.
    ///
    /// - Throws: `WuerstchenError` with code `invalidRequest` where it has none.
    static func part(in cascade: Cascade) throws -> Part<Self>

    /// What stands around the stage in a cascade.
    ///
    /// - Throws: As ``part(in:)``, and what loading throws.
    static func context(in cascade: Cascade) throws -> any StageContext<Self>

    /// The stage's latents of images, and what they are conditioned on.
    ///
    /// - Parameters:
    ///   - images: The images and captions.
    ///   - compressor: What makes semantic latents of them.
    ///   - cascade: The cascade.
    /// - Returns: The latents.
    /// - Throws: As ``part(in:)``, and what loading throws.
    static func latents(
        of images: any ImageSource, compressor: SemanticCompressor, in cascade: Cascade
    ) throws -> any LatentSource

    /// Rows and columns of its latents for those of a semantic latent; nil where the stage cannot
    /// run on it.
    func latentGrid(for grid: SemanticGrid) -> (rows: Int, columns: Int)?
}

extension StageC: CascadeStage {
    /// The prior's folder.
    public static var network: CheckpointLayout.Network { CheckpointLayout.published.stageC }
    /// As it was trained: Stage C leans on captions, and on guidance away from none.
    public static let captionDropout: Float = 0.1
    /// It makes them.
    public static let takesSemantics = false

    /// The folder that stands in for Stage C.
    public static func replacement(in folders: StageFolders) -> URL? { folders.stageC }

    /// The cascade's Stage C.
    public static func part(in cascade: Cascade) -> Part<StageC> { cascade.stageC }

    /// The cascade's text encoder and preview decoder.
    public static func context(in cascade: Cascade) throws -> any StageContext<StageC> {
        StageCContext(textEncoder: try cascade.textEncoder(), preview: cascade.previewDecoder)
    }

    /// What the compressor makes of the images.
    public static func latents(
        of images: any ImageSource, compressor: SemanticCompressor, in cascade: Cascade
    ) -> any LatentSource {
        SemanticLatents(CompressedImages(images, compressor: compressor))
    }

    /// The semantic latent's own.
    public func latentGrid(for grid: SemanticGrid) -> (rows: Int, columns: Int)? {
        (grid.rows, grid.columns)
    }
}

extension StageB: CascadeStage {
    /// The decoder's folder.
    public static var network: CheckpointLayout.Network { CheckpointLayout.published.stageB }
    /// None: it is sampled without guidance.
    public static let captionDropout: Float = 0
    /// It makes image latents of them.
    public static let takesSemantics = true

    /// The folder that stands in for Stage B.
    public static func replacement(in folders: StageFolders) -> URL? { folders.stageB }

    /// The Stage B of a cascade that has one.
    public static func part(in cascade: Cascade) throws -> Part<StageB> {
        try cascade.diffusionDecoder().stageB
    }

    /// The decoder's text encoder and Stage A.
    public static func context(in cascade: Cascade) throws -> any StageContext<StageB> {
        let decoder = try cascade.diffusionDecoder()
        return StageBContext(
            textEncoder: try decoder.textEncoder(), stageA: try decoder.stageA())
    }

    /// What Stage A makes of the images.
    public static func latents(
        of images: any ImageSource, compressor: SemanticCompressor, in cascade: Cascade
    ) throws -> any LatentSource {
        ImageLatents(
            images, stageA: try cascade.diffusionDecoder().stageA(), compressor: compressor)
    }

    /// Those of an image latent.
    public func latentGrid(for grid: SemanticGrid) -> (rows: Int, columns: Int)? {
        guard let rows = latentSide(forSemanticSide: grid.rows),
            let columns = latentSide(forSemanticSide: grid.columns)
        else { return nil }
        return (rows, columns)
    }
}

extension Cascade {
    /// The decoder with Stages B and A.
    ///
    /// - Throws: `WuerstchenError` with code `invalidRequest` when the cascade has another.
    public func diffusionDecoder() throws -> DiffusionDecoder {
        guard let decoder = decoder as? DiffusionDecoder else {
            throw WuerstchenError(.invalidRequest, "the cascade has no Stage B")
        }
        return decoder
    }
}
