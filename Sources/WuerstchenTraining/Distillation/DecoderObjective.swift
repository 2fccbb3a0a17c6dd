internal import TensorCore
public import Wuerstchen

/// Learning to decode Stage A's latents with fewer blocks: its encoder and its codes stay as they
/// are, so that whatever makes or takes its latents goes on to.
///
/// After distillation to one step Stage A is what an image's time goes to.
public struct DecoderObjective: TrainingObjective {
    /// The part's name.
    public let name = "stage-a-decoder"
    /// The architecture's numbers, with fewer bottleneck blocks than the teacher's.
    public var configuration: StageA.Configuration
    /// The teacher, whose latents are decoded.
    public var teacher: StageA
    /// The images.
    public var images: any ImageSource
    /// Images that are not learnt from.
    @Incidental public var validationImages: (any ImageSource)? = nil
    /// How decoded images are judged.
    public var reconstruction = ReconstructionLoss(edges: 0.5)

    /// An objective for an architecture, learnt from images.
    public init(
        configuration: StageA.Configuration, teacher: StageA, images: any ImageSource
    ) {
        self.configuration = configuration
        self.teacher = teacher
        self.images = images
    }

    /// Stage A's parameters under `stage_a`.
    public func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try parameters.addStageA(configuration, seed: seed)
        return parameters
    }

    /// The decoder's parameters alone.
    public func isTrainable(_ name: String) -> Bool {
        name.hasPrefix("stage_a.up_blocks.") || name.hasPrefix("stage_a.out_block.")
    }

    /// The loss of a batch.
    public func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        let target = try images.batch(step.batch, count: step.batchSize).pixels
        let stage = try StageA(
            configuration: configuration, parameters: parameters.source("stage_a"),
            precision: step.precision)
        let decoded = try stage.decode(unscaled: withoutGradients { try teacher.encode(target) })
        return TrainingLoss(
            reconstruction(decoded, target),
            metrics: ["psnr": peakSignalToNoise(decoded.detached(), target)])
    }

    /// The same over images that are not learnt from.
    public var validation: DecoderObjective? {
        replacing(\.images, by: validationImages)
    }

    /// Images, and what teacher and student decode.
    public func contactSheet(_ parameters: [String: Tensor]) throws -> ContactSheet? {
        let images = try (validationImages ?? images).batch(0, count: 8).pixels
        let latents = try teacher.encode(images)
        let stage = try StageA(
            configuration: configuration,
            parameters: StepParameters(fixed: parameters).source("stage_a"))
        var sheet = ContactSheet(title: name, imageSide: 128)
        try sheet.addRow("images", images)
        try sheet.addRow("teacher", teacher.decode(unscaled: latents))
        try sheet.addRow("student", stage.decode(unscaled: latents))
        return sheet
    }
}
