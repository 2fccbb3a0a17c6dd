public import TensorCore
public import Wuerstchen

/// Clean latents with what they are conditioned on.
public struct LatentBatch: Sendable {
    /// The latents as the stage makes them, `[batch, height, width, channels]`.
    public var clean: Tensor
    /// What they are conditioned on.
    public var conditions: CouplingConditions

    /// A batch of the given latents.
    public init(clean: Tensor, conditions: CouplingConditions) {
        self.clean = clean
        self.conditions = conditions
    }
}

/// Clean latents of a stage, which a distillation adds noise to.
public protocol LatentSource: Sendable {
    /// A batch, the same for the same number and count.
    ///
    /// - Throws: What reading images throws.
    func latents(_ number: Int, count: Int) throws -> LatentBatch
}

extension Couplings: LatentSource {
    /// The latents of couplings, which a teacher made of captions: no images are needed, and Stage
    /// B sees the latents of Stage C too.
    public func latents(_ number: Int, count: Int) throws -> LatentBatch {
        let batch = batch(number, count: count)
        return LatentBatch(clean: batch.clean, conditions: batch.conditions)
    }
}

/// Stage C's latents: what a compressor makes of images.
public struct SemanticLatents: LatentSource {
    /// The latents and captions.
    public var source: any SemanticSource

    /// Latents of a source.
    public init(_ source: any SemanticSource) {
        self.source = source
    }

    /// Latents, and their captions as conditions.
    public func latents(_ number: Int, count: Int) throws -> LatentBatch {
        let batch = try source.semantics(number, count: count)
        return LatentBatch(
            clean: batch.latents, conditions: CouplingConditions(captions: batch.captions))
    }
}

/// Stage B's latents: what Stage A makes of images, under what a compressor makes of them.
public struct ImageLatents: LatentSource {
    /// The images and captions.
    public var images: any ImageSource
    /// What makes latents of them.
    public var stageA: StageA
    /// What makes the semantic latents that they are conditioned on.
    public var compressor: SemanticCompressor

    /// Latents of images.
    public init(_ images: any ImageSource, stageA: StageA, compressor: SemanticCompressor) {
        self.images = images
        self.stageA = stageA
        self.compressor = compressor
    }

    /// Latents, with semantic latents and captions as conditions.
    public func latents(_ number: Int, count: Int) throws -> LatentBatch {
        let batch = try images.batch(number, count: count)
        return LatentBatch(
            clean: try stageA.latent(of: batch.pixels).values,
            conditions: CouplingConditions(
                captions: batch.captions,
                semantics: try compressor.encode(batch.pixels).values))
    }
}

extension LatentSource {
    /// The mean and the standard deviation of all elements of some hundred latents.
    func moments() throws -> (mean: Double, deviation: Double) {
        let clean = try latents(0, count: 128).clean
        let mean = Double(clean.mean().elements[0])
        let square = Double(clean.meanSquare().elements[0])
        return (mean, max(1e-6, square - mean * mean).squareRoot())
    }
}
