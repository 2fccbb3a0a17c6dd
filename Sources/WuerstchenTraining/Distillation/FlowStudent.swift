public import TensorCore
public import Wuerstchen
public import WuerstchenNN

/// A stage that learns to be a flow.
public struct FlowStudent<Stage: TrainableStage>: Sendable
where Stage.Configuration: DistillableConfiguration {
    /// All about the stage but its weights; its configuration has a flow.
    public var blueprint: StageBlueprint<Stage>
    /// What makes its conditioning, and shows its latents.
    public var context: any StageContext<Stage>

    /// A student.
    ///
    /// - Parameters:
    ///   - blueprint: The architecture and schedule that it takes over.
    ///   - flow: What it is to become.
    ///   - context: What makes its conditioning, and shows its latents.
    public init(
        _ blueprint: StageBlueprint<Stage>, flow: FlowConfiguration = FlowConfiguration(),
        in context: any StageContext<Stage>
    ) {
        self.blueprint = blueprint
        self.blueprint.configuration.flow = flow
        self.context = context
    }

    /// A student of a cascade's stage, whose weights are not loaded for it.
    ///
    /// - Throws: `WuerstchenError` with code `invalidRequest` for a cascade without such a stage,
    ///   and what loading throws.
    public init(of cascade: Cascade) throws where Stage: CascadeStage {
        self.init(
            try Stage.part(in: cascade).blueprint(), in: try Stage.context(in: cascade))
    }

    /// The velocity field under some conditions.
    ///
    /// - Parameters:
    ///   - parameters: The parameters to build the network from, without the scope.
    ///   - conditions: What it is conditioned on.
    ///   - precision: The numbers that the network multiplies.
    /// - Returns: The field.
    /// - Throws: What the networks throw.
    public func field(
        _ parameters: any ParameterSource, _ conditions: CouplingConditions, precision: Precision
    ) throws -> FlowField {
        try context.field(
            of: blueprint.stage(parameters, precision: precision), under: conditions)
    }
}
