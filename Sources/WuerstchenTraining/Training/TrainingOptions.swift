public import TensorCore

/// Settings of a training run.
public struct TrainingOptions: Sendable {
    /// All steps. A training may be resumed with more than it was begun with: the rate then moves
    /// to the longer curve, higher than it had become. One that has taken as many already takes
    /// none.
    public var steps: Int
    /// Images of a step.
    public var batchSize: Int
    /// The parts that a step's images are computed in, one after the other, to need less memory:
    /// their gradients are averaged before the parameters move. It must divide ``batchSize``.
    public var microBatches = 1
    /// The shards of a step: parts of its images that several processes compute, each its share one
    /// after the other. Gradients are summed in the fixed order of a binary tree over the shards,
    /// so that one process or many come to the same bits.
    ///
    /// A power of two that divides ``batchSize``, and ``microBatches`` is then 1. Nil for none; a
    /// training that is resumed keeps the number that it was begun with, and one that several
    /// processes begin, or whose gradients are rounded, takes up to eight.
    public var shards: Int?
    /// How gradients are summed over processes. The last bits depend on it, as they do on the
    /// kernels.
    @Incidental public var reduction = GradientReduction.ordered
    /// The numbers that gradients are sent as, from one shard to another. What bfloat16 loses is a
    /// part of the state: one tensor more of each parameter for every shard but one.
    public var gradientPrecision = GradientPrecision.float32
    /// The learning rate over the steps.
    public var rate: LearningRate
    /// How parameters are moved.
    public var optimizer: any Optimizer
    /// The optimiser's weight decay, in units of the learning rate.
    public var weightDecay: Float {
        get { optimizer.weightDecay }
        set { optimizer.weightDecay = newValue }
    }
    /// Gradient norm clipping: gradients whose norm over all parameters is larger are scaled to it.
    public var clippingNorm: Float = 1
    /// The decay of the exponential moving average of the parameters.
    public var averageDecay: Float
    /// The numbers that networks multiply, forwards and backwards: 32-bit floats or bfloat16.
    public var precision: Precision = .bfloat16
    /// What everything random depends on.
    public var seed: UInt64 = 0
    /// Seconds between checkpoints; 0 for one after every step.
    @Incidental public var checkpointInterval: Double = 120

    /// Settings of the given values, with a warm-up over 3 % of the steps and a cosine down to a
    /// hundredth of the rate.
    public init(
        steps: Int, batchSize: Int, peakRate: Float, weightDecay: Float = 0.01,
        averageDecay: Float = 0.998
    ) {
        self.steps = steps
        self.batchSize = batchSize
        rate = LearningRate(
            peak: peakRate, final: peakRate / 100,
            // What makes no sense is refused when training begins.
            warmUp: max(1, min(max(steps, 0), Self.maximumSteps) * 3 / 100), steps: steps)
        optimizer = AdamW(weightDecay: weightDecay)
        self.averageDecay = averageDecay
    }

    /// How many parts a step is computed in.
    var parts: Int { shards ?? microBatches }

    /// The shards of a training that several processes begin where nobody names a number.
    var usualShards: Int { min(8, 1 << max(0, batchSize).trailingZeroBitCount) }

    /// The same with the shards that a training which begins in one of several processes has.
    func shared(by process: ProcessRank) -> TrainingOptions {
        var result = self
        if process.count > 1 || gradientPrecision != .float32 {
            result.shards = shards ?? usualShards
        }
        return result
    }

    /// The most steps of a training, and the most images of a step: what is counted over all steps
    /// stays far below the largest whole number.
    static let (maximumSteps, maximumBatchSize) = (1 << 40, 1 << 20)

    /// Refuses numbers that make no sense.
    ///
    /// - Throws: `WuerstchenError` with code `invalidRequest` that names the first of them.
    public func validate() throws {
        try requireSteps()
        try requireParts()
        try requireNumbers()
    }

    private func require(_ isPossible: Bool, _ message: @autoclosure () -> String) throws {
        guard isPossible else { throw WuerstchenError(.invalidRequest, message()) }
    }

    private func requireSteps() throws {
        let most = 1...Self.maximumSteps
        try require(
            most.contains(steps), "training of \(steps) steps; there can be 1 to \(most.upperBound)"
        )
        try require(
            (1...Self.maximumBatchSize).contains(batchSize),
            "steps of \(batchSize) images; there can be 1 to \(Self.maximumBatchSize)")
        try require(
            most.contains(rate.steps) && (0...most.upperBound).contains(rate.warmUp),
            "a rate that rises over \(rate.warmUp) of \(rate.steps) steps; there can be 1 to "
                + "\(most.upperBound) steps")
    }

    private func requireParts() throws {
        try require(
            microBatches > 0 && batchSize % microBatches == 0,
            "\(batchSize) images of a step cannot be split into \(microBatches) equal "
                + "micro-batches; choose a number that divides them")
        if let shards {
            try require(
                shards > 0 && shards.nonzeroBitCount == 1 && batchSize % shards == 0,
                "\(batchSize) images of a step cannot be split into \(shards) shards; choose a "
                    + "power of two that divides them")
            try require(
                microBatches == 1,
                "a step of \(shards) shards has no micro-batches, as its shards are computed one "
                    + "after the other; choose more shards to need less memory")
        }
        try require(
            gradientPrecision == .float32 || reduction == .ordered,
            "gradients as bfloat16 are summed in a fixed order alone; leave out --reduce fast")
    }

    private func requireNumbers() throws {
        try require(
            rate.peak > 0 && rate.peak.isFinite,
            "a learning rate of \(rate.peak); it must be a positive number")
        try require(
            clippingNorm > 0,
            "gradients clipped to a norm of \(clippingNorm); it must be a positive number")
        try require(
            weightDecay >= 0 && weightDecay.isFinite,
            "a weight decay of \(weightDecay); it must be 0 or a positive number")
        try require(
            (0..<1).contains(averageDecay),
            "an average of the parameters of which \(averageDecay) stays in a step; it must be at "
                + "least 0 and below 1")
        try require(
            checkpointInterval >= 0,
            "checkpoints every \(checkpointInterval) seconds; it must be 0 or a positive number")
        try require(
            precision != .int8,
            "training in int8; gradients need float32 or bfloat16")
    }
}
