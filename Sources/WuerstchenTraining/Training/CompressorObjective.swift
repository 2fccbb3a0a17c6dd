internal import TensorCore
public import Wuerstchen

/// The semantic compressor together with the preview decoder, as an autoencoder.
///
/// Reconstruction alone sees an object of a fiftieth of the image last. Where images are labelled,
/// linear classifiers on the latents make them say what matters; they stand in for the ImageNet
/// training of the published compressor. Half of the latents are noised, as Stage B will see them.
public struct CompressorObjective: TrainingObjective {
    /// The part's name.
    public let name = "compressor"
    /// The compressor's network.
    public var architecture = SemanticCompressor.Architecture.residual
    /// The images.
    public var images: any ImageSource
    /// Images that are not learnt from.
    public var validationImages: (any ImageSource)?
    /// What is wanted of reconstructions.
    public var reconstruction = ReconstructionLoss(edges: 0.3)
    /// The weight of the classifiers' losses, for images with labels.
    public var headWeight: Float = 0.02
    /// The largest time up to which latents are noised.
    public var largestTime: Float = 0.4
    /// How noise grows with time.
    public var schedule = NoiseSchedule()

    /// Rows and columns of the latents of labelled images, for the classifiers.
    private static let side = 6

    /// An objective, learnt from images.
    public init(images: any ImageSource) {
        self.images = images
    }

    /// The parameters of compressor, preview decoder and classifiers.
    public func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        let start = InitialParameters(seed: seed)
        try parameters.add("compressor", from: start) {
            _ = try SemanticCompressor(architecture: architecture, parameters: $0)
        }
        try parameters.add("preview", from: start) { _ = try PreviewDecoder(residual: $0) }
        try parameters.add("heads", from: start) {
            _ = try AttributeHeads($0, features: CompressorObjective.features)
        }
        return parameters
    }

    static let features = side * side * 16

    /// The loss of a batch.
    public func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        var random = step.random
        let batch = try images.batch(step.number, count: step.batchSize)
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
        let wanted = batch.pixels.resized(toMatch: decoded)
        var loss = reconstruction(decoded, wanted)
        var metrics = ["psnr": peakSignalToNoise(decoded.detached(), wanted)]
        if !batch.labels.isEmpty, latents.shape[1] == CompressorObjective.side,
            latents.shape[2] == CompressorObjective.side
        {
            let heads = try AttributeHeads(
                parameters.source("heads"), features: CompressorObjective.features)
            let (sum, accuracy) = heads.loss(
                noisy.reshaped(to: [step.batchSize, CompressorObjective.features]),
                batch.labels.map(\.visible))
            loss = Tensor.combine(1, loss, headWeight, sum)
            metrics["heads"] = accuracy
        }
        return TrainingLoss(loss, metrics: metrics)
    }

    /// The same over images that are not learnt from.
    public var validation: CompressorObjective? {
        validationImages.map {
            var result = self
            result.images = $0
            return result
        }
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
    /// The compressor.
    public var compressor: SemanticCompressor
    /// What is wanted of reconstructions.
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
        let batch = try images.batch(step.number, count: step.batchSize)
        let preview = try PreviewDecoder(
            residual: parameters.source("preview"), precision: step.precision)
        let decoded = try preview.pixels(of: compressor.encode(batch.pixels).values)
        let wanted = batch.pixels.resized(toMatch: decoded)
        return TrainingLoss(
            reconstruction(decoded, wanted),
            metrics: ["psnr": peakSignalToNoise(decoded.detached(), wanted)])
    }
}

extension Tensor {
    /// These images in the size of others.
    func resized(toMatch other: Tensor) -> Tensor {
        guard shape[1] != other.shape[1] || shape[2] != other.shape[2] else { return self }
        return resized(
            rows: .antialiasedBilinear(from: shape[1], to: other.shape[1]),
            columns: .antialiasedBilinear(from: shape[2], to: other.shape[2]))
    }
}
