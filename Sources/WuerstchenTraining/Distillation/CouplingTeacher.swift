public import Wuerstchen

/// A stage that makes couplings, or whose flow is measured.
public struct CouplingTeacher: Sendable {
    /// Rows, columns and channels of a latent.
    public typealias LatentShape = (rows: Int, columns: Int, channels: Int)

    /// The stage's name, such as `stage-c`.
    public let name: String
    /// The shape of its latents.
    public let latentShape: LatentShape
    /// The guidance that couplings are made with if no other is wanted: what the stage is sampled
    /// with.
    public let guidance: Float
    /// The share of couplings without caption if no other is wanted.
    public let captionDropout: Float
    private let makeField: @Sendable (CouplingConditions, Float) throws -> FlowField

    /// A teacher.
    ///
    /// - Parameters:
    ///   - stage: The stage.
    ///   - context: What makes its conditioning.
    ///   - rows: Rows of its latents.
    ///   - columns: Columns of its latents.
    ///   - captionDropout: The share of couplings without caption if no other is wanted.
    /// - Throws: `WuerstchenError` with code `invalidRequest` for a student of a few steps, which
    ///   is no flow any more that could be followed in others.
    public init<Stage: TrainableStage>(
        _ stage: Stage, in context: any StageContext<Stage>, rows: Int, columns: Int,
        captionDropout: Float = 0
    ) throws {
        let description = stage.description
        if let steps = description.flow?.steps {
            throw WuerstchenError(
                .invalidRequest,
                "this stage was distilled to \(FlowConfiguration.words(steps: steps)); take its "
                    + "teacher")
        }
        name = Stage.identifier
        latentShape = (rows, columns, description.latentChannels)
        guidance = max(1, description.defaultSampling.guidance)
        self.captionDropout = captionDropout
        makeField = { try context.field(of: stage, under: $0, guidance: $1) }
    }

    /// A stage of a cascade.
    ///
    /// - Parameters:
    ///   - type: Which stage, such as `StageC.self`.
    ///   - cascade: The cascade.
    ///   - size: The size of the images.
    /// - Throws: `WuerstchenError` with code `invalidRequest` for a cascade without such a stage, a
    ///   student of a few steps, or a size that the stage cannot make, and what loading throws.
    public init<Stage: CascadeStage>(
        _ type: Stage.Type, of cascade: Cascade, size: ImageSize
    ) throws {
        let stage = try Stage.part(in: cascade)()
        guard let grid = stage.latentGrid(for: try cascade.grid(for: size)) else {
            throw WuerstchenError(
                .invalidRequest, "\(stage.description.name) cannot make images of \(size)")
        }
        try self.init(
            stage, in: Stage.context(in: cascade), rows: grid.rows, columns: grid.columns,
            captionDropout: Stage.captionDropout)
    }

    /// The velocity field under some conditions.
    ///
    /// - Parameters:
    ///   - conditions: What it is conditioned on.
    ///   - guidance: The weight of guidance away from no caption; up to 1 there is none.
    /// - Returns: The field.
    /// - Throws: What the networks throw.
    public func field(
        _ conditions: CouplingConditions, guidance: Float = 1
    ) throws -> FlowField {
        try makeField(conditions, guidance)
    }
}
