public import TensorCore
public import Wuerstchen

/// The parts of a cascade one after the other, so that it is plain which is short: images as they
/// are, through Stage A, through compressor and preview decoder, through compressor and Stages B
/// and A, and from text.
public struct CascadeGates: Sendable {
    /// What images go through.
    public enum Gate: String, Sendable, CaseIterable {
        /// Nothing: the images themselves.
        case images
        /// Stage A: encoded and decoded.
        case stageA = "A"
        /// The compressor and the preview decoder.
        case preview = "compressor → preview"
        /// The compressor, and Stages B and A.
        case decoder = "compressor → B → A"
        /// Text through Stage C and the preview decoder.
        case textPreview = "text → C → preview"
        /// Text through the whole cascade.
        case text = "text → C → B → A"

        /// Whether captions alone go in.
        public var isFromText: Bool { self == .text || self == .textPreview }
    }

    /// The cascade.
    public var cascade: Cascade
    /// The compressor.
    public var compressor: SemanticCompressor
    /// How Stage C samples; nil for what it was made for.
    public var stageC: SamplingOptions?
    /// How Stage B samples; nil for what it was made for.
    public var stageB: SamplingOptions?
    /// Where what is made is kept, and found again; nil to make everything anew.
    public var kept: KeptBatches?

    /// The parts of a cascade and its compressor.
    public init(cascade: Cascade, compressor: SemanticCompressor) {
        self.cascade = cascade
        self.compressor = compressor
    }

    /// What comes out of a gate.
    ///
    /// - Parameters:
    ///   - gate: Which parts.
    ///   - batch: The images, and their captions.
    ///   - seed: What noise depends on, of the first image; the next has the next seed.
    /// - Returns: `[batch, height, width, 3]`, 0…1
    /// - Throws: `CancellationError` when the task is cancelled, or what the networks throw.
    public func make(_ gate: Gate, _ batch: ImageBatch, seed: UInt64) throws -> Tensor {
        guard let kept, gate != .images else { return try draw(gate, batch, seed: seed) }
        return try kept.batch(Self.name(gate, seed)) { try draw(gate, batch, seed: seed) }
    }

    /// Whether what comes out of a gate is kept already, or need not be.
    package func has(_ gate: Gate, seed: UInt64) -> Bool {
        gate == .images || kept?.has(Self.name(gate, seed)) == true
    }

    private static func name(_ gate: Gate, _ seed: UInt64) -> String { "\(gate)-\(seed)" }

    private func draw(_ gate: Gate, _ batch: ImageBatch, seed: UInt64) throws -> Tensor {
        switch gate {
        case .images: return batch.pixels
        case .stageA:
            let stage = try cascade.diffusionDecoder().stageA()
            return try stage.decode(unscaled: stage.encode(batch.pixels))
        case .preview: return try cascade.previewDecoder.pixels(of: latent(batch).values)
        case .decoder: return try decode(latent(batch), batch.captions, seed: seed)
        case .textPreview:
            return try cascade.previewDecoder.pixels(of: sample(batch.captions, seed: seed).values)
        case .text:
            return try decode(sample(batch.captions, seed: seed), batch.captions, seed: seed)
        }
    }

    private func latent(_ batch: ImageBatch) throws -> SemanticLatent {
        SemanticLatent(embedding: try embedding(of: batch.pixels), space: cascade.latentSpace)
    }

    /// What the compressor makes of images, before it is scaled to Stage C's latents.
    func embedding(of pixels: Tensor) throws -> Tensor {
        try compressor.embed(compressor.reduced(pixels))
    }

    private func sample(_ captions: [String], seed: UInt64) throws -> SemanticLatent {
        let text = try cascade.textEncoder().encode(
            captions, negatives: captions.map { _ in "" })
        let stage = try cascade.stageC()
        let seeds = captions.indices.map { seed &+ UInt64($0) }
        var sampler = try stage.sampler(
            text, grid: cascade.grid(for: cascade.defaultSize), noise: SeededNoise(seeds: seeds),
            options: stageC)
        while try sampler.next() != nil {}
        return stage.latent(sampler)
    }

    private func decode(
        _ latent: SemanticLatent, _ captions: [String], seed: UInt64
    ) throws -> Tensor {
        let stages = try cascade.diffusionDecoder()
        let text =
            try stages.stageB.description().readsText
            ? stages.textEncoder().encode(captions, negatives: captions.map { _ in "" }) : nil
        let seeds = captions.indices.map { seed &+ 1_000_000 &+ UInt64($0) }
        var sampler = try stages.stageB().sampler(
            latent, text: text, noise: SeededNoise(seeds: seeds), options: stageB)
        while try sampler.next() != nil {}
        return try stages.stageA().pixels(of: ImageLatent(values: sampler.latent))
    }
}
