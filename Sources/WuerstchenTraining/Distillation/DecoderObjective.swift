internal import TensorCore
public import Wuerstchen

/// Learning to decode Stage A's latents with fewer blocks: its encoder and its codes stay as they are, so
/// that whatever makes or takes its latents goes on to.
///
/// After distillation to one step Stage A is what a picture's time goes to.
public struct DecoderObjective: TrainingObjective {
    /// The part's name.
    public let name = "stage-a-decoder"
    /// The architecture's numbers, with fewer bottleneck blocks than the teacher's.
    public var configuration: StageA.Configuration
    /// The teacher, whose latents are decoded.
    public var teacher: StageA
    /// The pictures.
    public var pictures: any PictureSource
    /// Pictures that are not learnt from.
    public var validationPictures: (any PictureSource)?
    /// What is wanted of decoded pictures.
    public var reconstruction = ReconstructionLoss(edges: 0.5)

    /// An objective for an architecture, learnt from pictures.
    public init(
        configuration: StageA.Configuration, teacher: StageA, pictures: any PictureSource
    ) {
        self.configuration = configuration
        self.teacher = teacher
        self.pictures = pictures
    }

    /// Stage A's parameters under `stage_a`.
    public func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try parameters.addStageA(configuration, seed: seed)
        return parameters
    }

    /// The decoder's parameters alone.
    public func learns(_ name: String) -> Bool {
        name.hasPrefix("stage_a.up_blocks.") || name.hasPrefix("stage_a.out_block.")
    }

    /// The loss of a batch.
    public func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        let wanted = try pictures.batch(step.number, count: step.batchSize).pixels
        let stage = try StageA(
            configuration: configuration, parameters: parameters.source("stage_a"),
            precision: step.precision)
        let decoded = try stage.decode(unscaled: withoutGradients { try teacher.encode(wanted) })
        return TrainingLoss(
            reconstruction(decoded, wanted),
            metrics: ["psnr": peakSignalToNoise(decoded.detached(), wanted)])
    }

    /// The same over pictures that are not learnt from.
    public var validation: DecoderObjective? {
        validationPictures.map {
            var result = self
            result.pictures = $0
            return result
        }
    }

    /// Pictures, and what teacher and student decode.
    public func contactSheet(_ parameters: [String: Tensor]) throws -> ContactSheet? {
        let pictures = try (validationPictures ?? pictures).batch(0, count: 8).pixels
        let latents = try teacher.encode(pictures)
        let stage = try StageA(
            configuration: configuration,
            parameters: StepParameters(fixed: parameters).source("stage_a"))
        var sheet = ContactSheet(title: name, pictureSide: 128)
        try sheet.addRow("pictures", pictures)
        try sheet.addRow("teacher", teacher.decode(unscaled: latents))
        try sheet.addRow("student", stage.decode(unscaled: latents))
        return sheet
    }
}
