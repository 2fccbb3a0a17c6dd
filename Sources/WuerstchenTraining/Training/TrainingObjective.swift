public import TensorCore
internal import WuerstchenNN

/// What a part of a cascade is trained for: parameters to begin with, and a number to make small.
public protocol TrainingObjective: Sendable {
    /// The part's name, for messages and files.
    var name: String { get }

    /// Refuses parts that do not fit together, all at once, before anything is computed.
    ///
    /// - Throws: `WuerstchenError` that lists what does not fit.
    func validate() throws

    /// The parameters that training begins with.
    ///
    /// - Parameter seed: What they depend on.
    /// - Returns: The parameters, under one scope for each network.
    /// - Throws: What building the networks throws.
    func initialParameters(seed: UInt64) throws -> TrainableParameters

    /// The loss of one step.
    ///
    /// - Parameters:
    ///   - parameters: Tracked parameters to build the networks from.
    ///   - step: Which step, and its random numbers.
    /// - Returns: The loss, computed from the parameters.
    /// - Throws: What data and networks throw.
    func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss

    /// Whether a parameter is learnt, rather than kept by ``finish(_:_:_:)``.
    func isTrainable(_ name: String) -> Bool

    /// A factor for the learning rate of a parameter.
    func rateFactor(_ name: String) -> Float

    /// Called after each step's update, for what is not learnt by gradients.
    ///
    /// - Parameters:
    ///   - parameters: The parameters after the update.
    ///   - step: The step.
    ///   - losses: What ``loss(_:_:)`` returned for each micro-batch.
    /// - Throws: What networks throw.
    func finish(
        _ parameters: inout TrainableParameters, _ step: TrainingStep, _ losses: [TrainingLoss]
    ) throws

    /// The same objective over images that are not learnt from, or nil where there are none.
    var validation: Self? { get }

    /// The same objective with activations computed anew for gradients rather than kept, which
    /// takes less memory and gives the same bits; nil where that is so already, or is not possible.
    func checkpointingActivations() -> Self?

    /// Further numbers about how far training is, which take some time.
    ///
    /// - Parameter parameters: The parameters to look at, by name.
    /// - Returns: The numbers by name.
    /// - Throws: What data and networks throw.
    func measurements(_ parameters: [String: Tensor]) throws -> [String: Float]

    /// What a person should know of the numbers so far, such as that an adversary has won. It is
    /// said, and stands at the top of the report.
    ///
    /// - Parameter log: The log up to now.
    /// - Returns: A sentence for each warning, which says what to do.
    func warnings(_ log: [MetricsLog.Entry]) -> [String]

    /// Images that show how far training is.
    ///
    /// - Parameter parameters: The parameters to look at, by name.
    /// - Returns: A sheet, or nil where there is nothing to see.
    /// - Throws: What networks throw.
    func contactSheet(_ parameters: [String: Tensor]) throws -> ContactSheet?
}

extension TrainingObjective {
    /// By default everything is learnt but the running statistics of batch norms.
    public func isTrainable(_ name: String) -> Bool {
        !BatchNorm.isStatistic(name)
    }

    /// By default there is nothing that could not fit.
    public func validate() throws {}

    /// By default all parameters have the same rate.
    public func rateFactor(_ name: String) -> Float { 1 }

    /// By default there is nothing to see.
    public func contactSheet(_ parameters: [String: Tensor]) throws -> ContactSheet? { nil }

    /// By default there is nothing to warn of.
    public func warnings(_ log: [MetricsLog.Entry]) -> [String] { [] }

    /// By default there is nothing more to measure.
    public func measurements(_ parameters: [String: Tensor]) throws -> [String: Float] { [:] }

    /// By default there is nothing to compute anew.
    public func checkpointingActivations() -> Self? { nil }

    /// By default nothing is set aside.
    public var validation: Self? { nil }

    /// By default nothing is done.
    public func finish(
        _ parameters: inout TrainableParameters, _ step: TrainingStep, _ losses: [TrainingLoss]
    ) {}
}

extension TrainingObjective {
    /// The same over other data, such as what is not learnt from.
    ///
    /// - Parameters:
    ///   - data: The property with what is learnt from.
    ///   - other: What takes its place.
    ///   - change: What is to be changed besides.
    /// - Returns: The other objective; nil where there is nothing to take the place.
    func replacing<Data>(
        _ data: WritableKeyPath<Self, Data>, by other: Data?,
        _ change: (inout Self) -> Void = { _ in }
    ) -> Self? {
        other.map {
            var result = self
            result[keyPath: data] = $0
            change(&result)
            return result
        }
    }
}

/// A step of training.
public struct TrainingStep: Sendable {
    /// Which step, from 0.
    public let number: Int
    /// All steps.
    public let count: Int
    /// Which batch of the data; the same as ``number`` unless steps are made of micro-batches.
    public let batch: Int
    /// How many images are in the batch.
    public let batchSize: Int
    /// The numbers that networks multiply.
    public let precision: Precision
    /// Random numbers that depend on the seed and the step alone.
    public let random: RandomStream

    /// A step of the given numbers.
    public init(
        number: Int, count: Int, batch: Int? = nil, batchSize: Int, precision: Precision,
        random: RandomStream
    ) {
        self.number = number
        self.count = count
        self.batch = batch ?? number
        self.batchSize = batchSize
        self.precision = precision
        self.random = random
    }
}

/// The loss of a step.
public struct TrainingLoss: Sendable {
    /// The number that is made small, a tensor without axes.
    public var value: Tensor
    /// Further numbers to report by name.
    public var metrics: [String: Float]
    /// What the step leaves for ``TrainingObjective/finish(_:_:_:)``, by name.
    public var auxiliary: [String: Tensor]

    /// A loss and what belongs to it.
    public init(
        _ value: Tensor, metrics: [String: Float] = [:], auxiliary: [String: Tensor] = [:]
    ) {
        self.value = value
        self.metrics = metrics
        self.auxiliary = auxiliary
    }
}

/// The parameters of one step, tracked where they are learnt.
public struct StepParameters: Sendable {
    let leaves: [String: Tensor]
    private let statistics: [String: BatchStatistics]

    /// - Parameters:
    ///   - values: The parameters by name.
    ///   - isTrainable: Whether a parameter is tracked.
    init(_ values: [String: Tensor], isTrainable: (String) -> Bool) {
        leaves = Dictionary(
            uniqueKeysWithValues: values.map { name, value in
                (name, isTrainable(name) ? value.tracked() : value)
            })
        let scopes = Set(
            values.keys.filter(BatchNorm.isStatistic).compactMap {
                $0.split(separator: ".").first.map(String.init)
            })
        statistics = Dictionary(uniqueKeysWithValues: scopes.map { ($0, BatchStatistics()) })
    }

    /// Parameters that nothing is learnt about, for looking at results.
    ///
    /// - Parameter values: The parameters by name.
    public init(fixed values: [String: Tensor]) {
        leaves = values
        statistics = [:]
    }

    /// These parameters and fixed ones, which nothing is learnt about.
    func adding(fixed values: [String: Tensor]) -> StepParameters {
        StepParameters(leaves: leaves.merging(values) { own, _ in own }, statistics: statistics)
    }

    private init(leaves: [String: Tensor], statistics: [String: BatchStatistics]) {
        self.leaves = leaves
        self.statistics = statistics
    }

    /// The parameters of one network. Its batch norms use the batch's statistics in training.
    public func source(_ scope: String) -> ParameterValues {
        ParameterValues(
            TrainableParameters(leaves).scope(scope), origin: "\(scope) in training",
            batchStatistics: statistics[scope])
    }

    /// The parameters of a network as they are: gradients pass through it to its input, and nothing
    /// is learnt from what it is used for. Its batch norms use their running statistics.
    public func frozen(_ scope: String) -> ParameterValues {
        ParameterValues(
            TrainableParameters(leaves).scope(scope).mapValues { $0.detached() },
            origin: "\(scope) in training")
    }

    /// Means and variances that batch norms saw, by the whole name of the running statistics.
    var batchStatistics: [String: Tensor] {
        var result: [String: Tensor] = [:]
        for (scope, statistics) in statistics {
            for (name, value) in statistics.values { result["\(scope).\(name)"] = value }
        }
        return result
    }
}
