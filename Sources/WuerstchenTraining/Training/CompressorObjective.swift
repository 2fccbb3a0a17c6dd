public import TensorCore
public import Wuerstchen

/// The semantic compressor together with the preview decoder, as an autoencoder.
///
/// Reconstruction alone sees an object of a fiftieth of the image last. Auxiliary losses on the
/// latents can make them say what matters, in place of the ImageNet training of the published
/// compressor. Half of the latents are noised, as Stage B will see them.
public struct CompressorObjective: ExtendableObjective {
    /// The part's name.
    public let name = "compressor"
    /// The compressor's network.
    public var architecture = SemanticCompressor.Architecture.residual
    /// The images.
    public var images: any ImageSource
    /// Images that are not learnt from.
    @Incidental public var validationImages: (any ImageSource)? = nil
    /// How reconstructions are judged.
    public var reconstruction = ReconstructionLoss(edges: 0.3)
    /// Losses beside the reconstruction.
    public var auxiliary: [any AuxiliaryLoss<Output>] = []
    /// The largest time up to which latents are noised.
    public var largestTime: Float = 0.4
    /// How noise grows with time.
    public var schedule = NoiseSchedule()

    /// What auxiliary losses are given.
    public struct Output: Sendable {
        /// Which batch of images.
        public let batch: Int
        /// The compressor's output for each image, some of it noised, `[batch, rows, columns, 16]`.
        public let latents: Tensor

        /// What a compressor made of a batch.
        public init(batch: Int, latents: Tensor) {
            self.batch = batch
            self.latents = latents
        }
    }

    /// An objective, learnt from images.
    public init(images: any ImageSource) {
        self.images = images
    }

    /// The parameters of compressor, preview decoder and auxiliary losses.
    public func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        let start = InitialParameters(seed: seed)
        try parameters.add("compressor", from: start) {
            _ = try SemanticCompressor(architecture: architecture, parameters: $0)
        }
        try parameters.add("preview", from: start) { _ = try PreviewDecoder(residual: $0) }
        try auxiliary.addInitialParameters(to: &parameters, seed: seed)
        return parameters
    }

    /// The loss of a batch.
    public func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        var random = step.random
        let batch = try images.batch(step.batch, count: step.batchSize)
        let compressor = try SemanticCompressor(
            architecture: architecture, parameters: parameters.source("compressor"),
            precision: step.precision)
        let preview = try PreviewDecoder(
            residual: parameters.source("preview"), precision: step.precision)
        let latents = try compressor.embed(compressor.reduced(batch.pixels))
        let times = (0..<step.batchSize).map { _ in
            random.uniform() < 0.5 ? random.uniform(0..<largestTime) : 0
        }
        let noisy = NoisyLatents(latents, times: times, schedule: schedule, random: &random).latents
        let decoded = try preview.pixels(of: noisy)
        let target = batch.pixels.resized(toMatch: decoded)
        var loss = TrainingLoss(
            reconstruction(decoded, target),
            metrics: ["psnr": peakSignalToNoise(decoded.detached(), target)])
        try auxiliary.add(
            to: &loss, Output(batch: step.batch, latents: noisy), parameters, step)
        return loss
    }

    /// The same over images that are not learnt from.
    public var validation: CompressorObjective? {
        replacing(\.images, by: validationImages) { $0.auxiliary = auxiliary.validation() }
    }

    /// Images and what the preview decoder makes of their latents.
    public func contactSheet(_ parameters: [String: Tensor]) throws -> ContactSheet? {
        let images = try (validationImages ?? images).batch(0, count: 8).pixels
        let fixed = StepParameters(fixed: parameters)
        let compressor = try SemanticCompressor(
            architecture: architecture, parameters: fixed.source("compressor"))
        let preview = try PreviewDecoder(residual: fixed.source("preview"))
        let latents = try compressor.embed(compressor.reduced(images))
        var sheet = ContactSheet(title: "compressor and preview decoder", imageSide: 128)
        try sheet.addRow("images", images)
        try sheet.addRow("previews", preview.pixels(of: latents))
        return sheet
    }
}

/// The preview decoder alone, on the latents of a compressor that stays as it is.
public struct PreviewObjective: TrainingObjective {
    /// The part's name.
    public let name = "preview"
    /// The images.
    public var images: any ImageSource
    /// Images that are not learnt from.
    @Incidental public var validationImages: (any ImageSource)? = nil
    /// The compressor.
    public var compressor: SemanticCompressor
    /// How reconstructions are judged.
    public var reconstruction = ReconstructionLoss(edges: 0.3)

    /// An objective, learnt from images under a compressor.
    public init(images: any ImageSource, compressor: SemanticCompressor) {
        self.images = images
        self.compressor = compressor
    }

    /// The preview decoder's parameters.
    public func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try parameters.add("preview", from: InitialParameters(seed: seed)) {
            _ = try PreviewDecoder(residual: $0)
        }
        return parameters
    }

    /// The loss of a batch.
    public func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        let batch = try images.batch(step.batch, count: step.batchSize)
        let preview = try PreviewDecoder(
            residual: parameters.source("preview"), precision: step.precision)
        let decoded = try preview.pixels(of: compressor.encode(batch.pixels).values)
        let target = batch.pixels.resized(toMatch: decoded)
        return TrainingLoss(
            reconstruction(decoded, target),
            metrics: ["psnr": peakSignalToNoise(decoded.detached(), target)])
    }

    /// The same over images that are not learnt from.
    public var validation: PreviewObjective? {
        replacing(\.images, by: validationImages)
    }

    /// Images and what the preview decoder shows of their latents.
    public func contactSheet(_ parameters: [String: Tensor]) throws -> ContactSheet? {
        let batch = try (validationImages ?? images).batch(0, count: 8)
        let preview = try PreviewDecoder(
            residual: StepParameters(fixed: parameters).source("preview"))
        var sheet = ContactSheet(title: "preview decoder", imageSide: 128)
        try sheet.addRow("images", batch.pixels)
        try sheet.addRow(
            "previews", preview.pixels(of: compressor.encode(batch.pixels).values),
            captions: batch.captions)
        return sheet
    }
}

extension Tensor {
    /// These images in the size of others.
    package func resized(toMatch other: Tensor) -> Tensor {
        guard shape[1] != other.shape[1] || shape[2] != other.shape[2] else { return self }
        return resized(
            rows: .antialiasedBilinear(from: shape[1], to: other.shape[1]),
            columns: .antialiasedBilinear(from: shape[2], to: other.shape[2]))
    }
}
