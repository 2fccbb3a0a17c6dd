public import TensorCore
public import Wuerstchen

/// A stage that learns to be a flow: how its network is built from parameters of one step.
public protocol FlowStudent: Sendable {
    /// The architecture's numbers, as they are written beside its weights.
    associatedtype Configuration: DistillableConfiguration
    /// The architecture's numbers, with a flow.
    var configuration: Configuration { get set }
    /// The stage's name, for messages and files.
    var name: String { get }
    /// The scope of the network's parameters among those of a training.
    var scope: String { get }
    /// The parameters that training begins with where the teacher has none that fit, under the
    /// scope. The last layer of a flow is new, and zero.
    ///
    /// - Throws: What building the network throws.
    func initialParameters(seed: UInt64) throws -> TrainableParameters
    /// The velocity field under some conditions.
    ///
    /// - Parameters:
    ///   - parameters: The parameters to build the network from, without the scope.
    ///   - conditions: What it is conditioned on.
    ///   - precision: The numbers that the network multiplies.
    /// - Returns: The field.
    /// - Throws: What the networks throw.
    func field(
        _ parameters: ParameterValues, _ conditions: CouplingConditions, precision: Precision
    ) throws -> FlowField
    /// Images of latents, for contact sheets; nil where nothing can show them.
    ///
    /// - Throws: What the networks throw.
    func pixels(of latents: Tensor) throws -> Tensor?
}

/// Stage C as a student, its text encoder staying as it is.
public struct StageCStudent: FlowStudent {
    /// The stage's name.
    public let name = "stage-c"
    /// The scope of its parameters.
    public let scope = "stage_c"
    /// The architecture's numbers, with a flow.
    public var configuration: StageC.Configuration
    /// The text encoder.
    public var textEncoder: TextEncoder<StageC>
    /// How noise grows with time.
    public var schedule: NoiseSchedule
    /// Shows what latents mean.
    @Incidental public var preview: PreviewDecoder? = nil

    /// A student of a stage.
    ///
    /// - Parameters:
    ///   - stage: The stage whose architecture and schedule it takes over.
    ///   - flow: What it is to become.
    ///   - textEncoder: The text encoder.
    public init(of stage: StageC, flow: FlowConfiguration, textEncoder: TextEncoder<StageC>) {
        configuration = stage.configuration
        configuration.flow = flow
        schedule = stage.schedule
        self.textEncoder = textEncoder
    }

    /// A student of a cascade's stage, shown by its preview decoder.
    ///
    /// - Throws: What loading throws.
    public init(of cascade: Cascade, flow: FlowConfiguration = FlowConfiguration()) throws {
        self.init(of: try cascade.stageC(), flow: flow, textEncoder: try cascade.textEncoder())
        preview = cascade.previewDecoder
    }

    /// The stage's parameters under `stage_c`.
    public func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try parameters.addStageC(configuration, seed: seed)
        return parameters
    }

    /// The velocity field under some captions.
    public func field(
        _ parameters: ParameterValues, _ conditions: CouplingConditions, precision: Precision
    ) throws -> FlowField {
        try conditions.field(
            of: StageC(
                configuration: configuration, parameters: parameters,
                precision: precision, schedule: schedule), textEncoder)
    }

    /// What the preview decoder shows.
    public func pixels(of latents: Tensor) throws -> Tensor? { try preview?.pixels(of: latents) }
}

/// Stage B as a student, its text encoder staying as it is.
public struct StageBStudent: FlowStudent {
    /// The stage's name.
    public let name = "stage-b"
    /// The scope of its parameters.
    public let scope = "stage_b"
    /// The architecture's numbers, with a flow.
    public var configuration: StageB.Configuration
    /// Positions of the image latent per position of the semantic latent.
    public var latentScale: Double
    /// How semantic latents relate to what the stage takes.
    public var latentSpace: SemanticLatentSpace
    /// The text encoder.
    public var textEncoder: TextEncoder<StageB>
    /// How noise grows with time.
    public var schedule: NoiseSchedule
    /// Shows what latents mean.
    @Incidental public var stageA: StageA? = nil

    /// A student of a stage.
    ///
    /// - Parameters:
    ///   - stage: The stage whose architecture and schedule it takes over.
    ///   - flow: What it is to become.
    ///   - latentSpace: How semantic latents relate to what the stage takes.
    ///   - textEncoder: The text encoder.
    public init(
        of stage: StageB, flow: FlowConfiguration, latentSpace: SemanticLatentSpace,
        textEncoder: TextEncoder<StageB>
    ) {
        configuration = stage.configuration
        configuration.flow = flow
        latentScale = stage.latentScale
        schedule = stage.schedule
        self.latentSpace = latentSpace
        self.textEncoder = textEncoder
    }

    /// A student of a cascade's stage, shown by its Stage A.
    ///
    /// - Throws: `WuerstchenError` with code `invalidRequest` for a cascade without Stage B, and
    ///   what loading throws.
    public init(of cascade: Cascade, flow: FlowConfiguration = FlowConfiguration()) throws {
        let decoder = try cascade.diffusionDecoder()
        self.init(
            of: try decoder.stageB(), flow: flow, latentSpace: cascade.latentSpace,
            textEncoder: try decoder.textEncoder())
        stageA = try decoder.stageA()
    }

    /// The stage's parameters under `stage_b`.
    public func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try parameters.addStageB(configuration, seed: seed)
        return parameters
    }

    /// The velocity field under some semantic latents and captions.
    public func field(
        _ parameters: ParameterValues, _ conditions: CouplingConditions, precision: Precision
    ) throws -> FlowField {
        try conditions.field(
            of: StageB(
                configuration: configuration, parameters: parameters,
                precision: precision, latentScale: latentScale, schedule: schedule),
            textEncoder, space: latentSpace)
    }

    /// What Stage A shows.
    public func pixels(of latents: Tensor) throws -> Tensor? {
        try stageA.map {
            try $0.decode(unscaled: latents.scaled(by: $0.configuration.latentScale))
        }
    }
}
