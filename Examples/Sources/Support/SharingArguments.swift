public import ArgumentParser
public import WuerstchenTraining

/// How several processes share the steps of a training.
public struct SharingArguments: ParsableArguments, Sendable {
    /// The parts of a step; nil for none, or as many as a training was begun with.
    @Option(
        help: """
            Parts that the images of a step are computed in, of which each of several processes \
            (mpirun) takes its share; a power of two. One process or many come to the same bits. \
            (default: those that the training was begun with; 8 or fewer where several processes \
            begin, or gradients are rounded)
            """)
    public var shards: Int?

    /// How gradients are summed.
    @Option(
        help: """
            How gradients are summed over processes: ordered, to the same bits for any number of \
            them, or fast, as MPI does it.
            """)
    public var reduce = GradientReduction.ordered

    /// What gradients are sent as.
    @Option(
        help: """
            What gradients are sent as from one shard to another: float32, or bfloat16, which is \
            half as many bytes; what rounding takes from one step's is added to the next one's.
            """)
    public var gradientPrecision = GradientPrecision.float32

    /// Nothing named.
    public init() {}

    /// Puts what was named into a training's options.
    public func apply(to options: inout TrainingOptions) {
        options.shards = shards
        options.reduction = reduce
        options.gradientPrecision = gradientPrecision
    }
}

extension GradientReduction: @retroactive ExpressibleByArgument {}
extension GradientPrecision: @retroactive ExpressibleByArgument {}
