public import ArgumentParser
public import Foundation
public import TensorCore
public import Wuerstchen
public import WuerstchenTraining

/// How to compute, and what everything random depends on.
public struct ComputeArguments: ParsableArguments, Sendable {
    /// The numbers that networks multiply.
    @Option(help: "The numbers that networks multiply: float32 or bfloat16.")
    public var precision = Precision.bfloat16

    /// The seed.
    @Option(
        name: .customLong("seed"),
        help: "What everything random depends on; -1 for a random one, which is printed.")
    public var givenSeed = Seed(0)

    /// The seed's number.
    public var seed: UInt64 { givenSeed.value }

    /// Threads; nil for one for each processor.
    @Option(help: "Threads. (default: one for each processor)")
    public var threads: Int?

    /// Nothing named.
    public init() {}

    /// Refuses numbers that make no sense, and sets the number of threads.
    public func validate() throws {
        givenSeed.announce()
        guard let threads else { return }
        guard (1...1024).contains(threads) else {
            throw ValidationError("--threads must be 1 to 1024")
        }
        Threads.count = threads
    }
}

/// The optimisers by their names.
public enum OptimizerName: String, ExpressibleByArgument, CaseIterable, Sendable {
    /// AdamW for all parameters.
    case adamw
    /// Muon for hidden matrices, and AdamW for the rest.
    case muon

    /// The optimiser with a weight decay.
    public func optimizer(weightDecay: Float) -> any Optimizer {
        switch self {
        case .adamw: AdamW(weightDecay: weightDecay)
        case .muon: Muon(weightDecay: weightDecay)
        }
    }
}

/// What trainings of a kind are made with where nothing else is wanted.
public protocol TrainingDefaults: Sendable {
    /// Steps of training.
    static var steps: Int { get }
    /// Images or pairs of a step.
    static var batch: Int { get }
    /// The highest learning rate.
    static var rate: Float { get }
    /// The weight decay.
    static var decay: Float { get }
    /// How much of the average stays in a step.
    static var average: Float { get }
}

/// How something is trained.
public struct TrainingArguments<Defaults: TrainingDefaults>: ParsableArguments, Sendable {
    /// The training's folder.
    @Argument(help: "The folder of the training; it is made if it is not there.")
    public var output: String

    /// Steps of training.
    @Option(
        help: """
            Steps in all. When resuming, no fewer than before; with more, the learning rate moves to \
            the longer curve, higher than it had become.
            """)
    public var steps = Defaults.steps

    /// Images or pairs of a step.
    @Option(help: "Images or pairs of a step.")
    public var batch = Defaults.batch

    /// Images or pairs that are computed at a time; nil for all of a step.
    @Option(
        help: """
            Images or pairs that are computed at a time, to need less memory. (default: all of a \
            step)
            """)
    public var microBatch: Int?

    /// How several processes share a step.
    @OptionGroup public var sharing: SharingArguments

    /// The highest learning rate.
    @Option(help: "The highest learning rate.")
    public var rate = Defaults.rate

    /// The weight decay.
    @Option(help: "The weight decay, in units of the rate.")
    public var decay = Defaults.decay

    /// The optimiser.
    @Option(help: "The optimiser: adamw, or muon for hidden matrices with adamw for the rest.")
    public var optimizer = OptimizerName.adamw

    /// How much of the average stays in a step.
    @Option(help: "How much of the average of the parameters stays in a step.")
    public var average = Defaults.average

    /// Seconds between checkpoints.
    @Option(help: "Seconds between checkpoints.")
    public var checkpointInterval = 120.0

    /// Whether to go on.
    @Flag(help: "Go on where an earlier training in the folder stopped.")
    public var resume = false

    /// How weights are stored.
    @Option(help: "The numbers that weights are exported as: float32, float16 or bfloat16.")
    public var elementType = WeightElementType.float16

    /// Nothing named.
    public init() {}

    /// Refuses numbers that make no sense.
    public func validate() throws {
        guard (1...100_000_000).contains(steps), (1...65536).contains(batch) else {
            throw ValidationError("--steps must be 1 to 100000000 and --batch 1 to 65536")
        }
        if let microBatch, microBatch < 1 || batch % microBatch != 0 {
            throw ValidationError("--micro-batch must divide --batch")
        }
    }

    /// The training's folder.
    public var folder: URL { URL(fileURLWithPath: output) }

    /// The settings.
    public func options(_ compute: ComputeArguments) -> TrainingOptions {
        var options = TrainingOptions(
            steps: steps, batchSize: batch, peakRate: rate, weightDecay: decay,
            averageDecay: average)
        options.optimizer = optimizer.optimizer(weightDecay: decay)
        options.microBatches = batch / (microBatch ?? batch)
        sharing.apply(to: &options)
        options.precision = compute.precision
        options.seed = compute.seed
        options.checkpointInterval = checkpointInterval
        return options
    }
}
