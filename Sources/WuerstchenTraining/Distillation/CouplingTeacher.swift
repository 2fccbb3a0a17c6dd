internal import TensorCore
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

    /// A teacher of the given properties.
    ///
    /// - Parameters:
    ///   - name: The stage's name.
    ///   - latentShape: The shape of its latents.
    ///   - guidance: The guidance that couplings are made with if no other is wanted.
    ///   - captionDropout: The share of couplings without caption if no other is wanted.
    ///   - field: The velocity field under some conditions, with a weight of guidance.
    public init(
        _ name: String, latentShape: LatentShape, guidance: Float = 1, captionDropout: Float = 0,
        field: @escaping @Sendable (CouplingConditions, Float) throws -> FlowField
    ) {
        self.name = name
        self.latentShape = latentShape
        self.guidance = guidance
        self.captionDropout = captionDropout
        makeField = field
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

    /// Refuses a student of a few steps, which is no flow any more that could be followed in
    /// others.
    private static func requireManySteps(_ flow: FlowConfiguration?) throws {
        guard let steps = flow?.steps else { return }
        throw WuerstchenError(
            .invalidRequest,
            "this stage was distilled to \(FlowConfiguration.words(steps: steps)); take its teacher"
        )
    }

    /// Stage C of a cascade.
    ///
    /// - Parameters:
    ///   - cascade: The cascade.
    ///   - size: The size of the images.
    /// - Throws: `WuerstchenError` with code `invalidRequest` for a student of a few steps, and
    ///   what loading throws.
    public init(stageCOf cascade: Cascade, size: ImageSize) throws {
        let (stage, encoder) = (try cascade.stageC(), try cascade.textEncoder())
        try Self.requireManySteps(stage.configuration.flow)
        let grid = try cascade.grid(for: size)
        self.init(
            "stage-c",
            latentShape: (grid.rows, grid.columns, stage.configuration.latentChannels),
            guidance: max(1, stage.defaultSampling.guidance), captionDropout: 0.1
        ) { try $0.field(of: stage, encoder, guidance: $1) }
    }

    /// Stage B of a cascade.
    ///
    /// - Parameters:
    ///   - cascade: The cascade.
    ///   - size: The size of the images.
    /// - Throws: `WuerstchenError` with code `invalidRequest` for a cascade without Stage B, a
    ///   student of a few steps, or a size that it cannot make, and what loading throws.
    public init(stageBOf cascade: Cascade, size: ImageSize) throws {
        let decoder = try cascade.diffusionDecoder()
        let (stage, encoder) = (try decoder.stageB(), try decoder.textEncoder())
        try Self.requireManySteps(stage.configuration.flow)
        let grid = try cascade.grid(for: size)
        guard let rows = stage.latentSide(forSemanticSide: grid.rows),
            let columns = stage.latentSide(forSemanticSide: grid.columns)
        else {
            throw WuerstchenError(.invalidRequest, "Stage B cannot make images of \(size)")
        }
        let space = cascade.latentSpace
        self.init(
            "stage-b", latentShape: (rows, columns, stage.configuration.latentChannels),
            guidance: max(1, stage.defaultSampling.guidance)
        ) { try $0.field(of: stage, encoder, space: space, guidance: $1) }
    }
}

extension Cascade {
    /// The decoder with Stages B and A.
    ///
    /// - Throws: `WuerstchenError` with code `invalidRequest` when the cascade has another.
    public func diffusionDecoder() throws -> DiffusionDecoder {
        guard let decoder = decoder as? DiffusionDecoder else {
            throw WuerstchenError(.invalidRequest, "the cascade has no Stage B")
        }
        return decoder
    }
}
