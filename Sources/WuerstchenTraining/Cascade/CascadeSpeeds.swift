internal import Foundation
internal import TensorCore
internal import Wuerstchen

/// How fast a cascade's training is on this machine, from a few steps of each piece. Later pieces
/// are measured on latents of networks that have learnt nothing, which take as long.
struct CascadeSpeeds {
    /// Seconds of a step.
    private(set) var secondsPerStep: [CascadePiece: Double?] = [:]
    /// Bytes of memory that a step needs.
    private(set) var memory: [CascadePiece: Int] = [:]
    /// Seconds for latents that are computed once, and for samples at the end.
    private(set) var other = 0.0

    init(of training: CascadeTraining, now: () -> ContinuousClock.Instant) throws {
        let start = InitialParameters(seed: training.seed)
        var stageAObjective = training.stageAObjective
        // As most steps are.
        stageAObjective.unquantizedShare = 0
        try measure(.stageA, stageAObjective, training, now)
        let stageA = try StageA(
            configuration: training.architecture.stageA, parameters: start, precision: .bfloat16)
        try measure(.decoder, training.decoderObjective(of: stageA), training, now)
        try measure(.compressor, training.compressorObjective(), training, now)
        try measure(.text, training.captionObjective, training, now)
        let compressor = try SemanticCompressor(
            architecture: training.compressorObjective().architecture, parameters: start,
            precision: .bfloat16, latentSpace: training.latentSpace)
        try measure(
            .preview, PreviewObjective(images: training.images, compressor: compressor), training,
            now)

        let began = now()
        let batch = try training.images.batch(0, count: 8)
        let fixed = FixedLatents(
            EncodedBatch(
                semantic: try compressor.embed(compressor.reduced(batch.pixels)),
                latents: try stageA.latent(of: batch.pixels).values, captions: batch.captions))
        let perImage = (now() - began).seconds / 8
        try measure(
            .stageB,
            training.stageBObjective(images: fixed, stageA: stageA, compressor: compressor),
            training, now)
        try measure(.stageC, training.stageCObjective(fixed), training, now)
        // Samples at the end, and what is kept in mind: images of thirty-two evaluations of Stages
        // B and C, a third of what a step of training takes for an image.
        let sample = [CascadePiece.stageB, .stageC].reduce(0.0) { sum, piece in
            sum + (secondsPerStep[piece].flatMap(\.self) ?? 0)
                / Double(training.options(piece, steps: 1).batchSize)
        }
        other =
            perImage * Double(training.images.imageCount) + Double(
                16 + (training.keep?.drawnCount ?? 0)) * 32 / 3 * sample
    }

    /// One step to warm up, and then as many as take two seconds, up to four.
    private mutating func measure(
        _ piece: CascadePiece, _ objective: some TrainingObjective, _ training: CascadeTraining,
        _ now: () -> ContinuousClock.Instant
    ) throws {
        guard training.trained.contains(piece) else { return }
        let options = training.options(piece, steps: 1000)
        let fit = try MemoryFit(objective, options, limit: training.memoryLimit)
        memory[piece] = fit.estimate.peak
        var trainer = try Trainer(fit.objective, options)
        _ = try trainer.next()
        let start = now()
        var steps = 0
        repeat {
            _ = try trainer.next()
            steps += 1
        } while steps < 4 && (now() - start).seconds < 2
        secondsPerStep[piece] = (now() - start).seconds / Double(steps)
    }
}

/// Latents that are always the same.
private struct FixedLatents: EncodedImageSource, SemanticSource {
    private let batch: EncodedBatch

    init(_ batch: EncodedBatch) {
        self.batch = batch
    }

    func encoded(_ number: Int, count: Int) -> EncodedBatch {
        let times = (count + batch.captions.count - 1) / batch.captions.count
        func repeated(_ tensor: Tensor) -> Tensor {
            Tensor.concatenating((0..<times).map { _ in tensor })[0..<count]
        }
        return EncodedBatch(
            semantic: repeated(batch.semantic), latents: repeated(batch.latents),
            captions: Array((0..<times).flatMap { _ in batch.captions }.prefix(count)))
    }

    func semantics(_ number: Int, count: Int) -> SemanticBatch {
        let batch = encoded(number, count: count)
        return SemanticBatch(latents: batch.semantic, captions: batch.captions)
    }

    func batch(_ number: Int, count: Int) -> ImageBatch {
        let encoded = encoded(number, count: count)
        return ImageBatch(pixels: encoded.latents, captions: encoded.captions)
    }
}
