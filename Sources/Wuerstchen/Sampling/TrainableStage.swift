public import TensorCore
public import WuerstchenNN

/// A diffusion stage that is built from its parameters, as loading, training and distillation do:
/// training builds it anew in each step.
public protocol TrainableStage: DiffusionStage {
    /// The stage's name in files and options, such as `stage-c`.
    static var identifier: String { get }

    /// How semantic latents relate to images and to what Stage B takes and makes.
    var latentSpace: SemanticLatentSpace { get }

    /// For training: whether activations are computed anew for gradients rather than kept.
    var checkpointsActivations: Bool { get set }

    /// A network with the given parameters.
    ///
    /// - Parameters:
    ///   - configuration: The architecture's numbers.
    ///   - source: The parameters under their published names.
    ///   - precision: The numbers that the large matrices are stored in and multiplied with.
    ///   - latentSpace: How semantic latents relate to images and to what Stage B takes and makes.
    ///   - schedule: How noise grows with time.
    /// - Throws: ``WuerstchenError`` when the configuration contradicts itself or parameters are
    ///   missing, surplus or misshapen.
    init(
        configuration: Configuration, parameters source: any ParameterSource,
        precision: Precision, latentSpace: SemanticLatentSpace, schedule: NoiseSchedule) throws
}

extension TrainableStage {
    /// The scope of the stage's parameters among those of a training, such as `stage_c`.
    public static var scope: String {
        String(identifier.map { $0 == "-" ? "_" : $0 })
    }

    /// All about the stage but its weights.
    public var blueprint: StageBlueprint<Self> {
        StageBlueprint(
            configuration: configuration, latentSpace: latentSpace, schedule: schedule)
    }
}

/// All about a stage but its weights: what it is built from with parameters of any origin.
public struct StageBlueprint<Stage: TrainableStage>: Sendable {
    /// The architecture's numbers.
    public var configuration: Stage.Configuration
    /// How semantic latents relate to images and to what Stage B takes and makes.
    public var latentSpace: SemanticLatentSpace
    /// How noise grows with time.
    public var schedule: NoiseSchedule

    /// A blueprint of the given values.
    public init(
        configuration: Stage.Configuration,
        latentSpace: SemanticLatentSpace = SemanticLatentSpace(),
        schedule: NoiseSchedule = NoiseSchedule()
    ) {
        self.configuration = configuration
        self.latentSpace = latentSpace
        self.schedule = schedule
    }

    /// What configuration and schedule say about the stage's use.
    public var description: StageDescription {
        Stage.description(of: configuration, schedule: schedule)
    }

    /// The stage with some parameters.
    ///
    /// - Parameters:
    ///   - parameters: The parameters under their published names.
    ///   - precision: The numbers that the large matrices are stored in and multiplied with.
    /// - Returns: The stage.
    /// - Throws: What building it throws.
    public func stage(
        _ parameters: any ParameterSource, precision: Precision = .float32
    ) throws -> Stage {
        try Stage(
            configuration: configuration, parameters: parameters, precision: precision,
            latentSpace: latentSpace, schedule: schedule)
    }
}
