public import TensorCore

/// A loss beside an objective's own, such as a discriminator's or a classifier's.
///
/// An objective says what it made of a batch, and each of its auxiliary losses adds to the
/// objective's loss what it finds in that. Parameters that it brings along are trained in the same
/// step, under a scope of their own.
public protocol AuxiliaryLoss<Output>: Sendable {
    /// What an objective makes of a batch, such as images and their reconstructions.
    associatedtype Output

    /// The parameters that it adds to the objective's, under scopes of their own.
    ///
    /// - Parameter seed: What their initial values depend on.
    /// - Returns: The parameters; none by default.
    /// - Throws: What building networks throws.
    func initialParameters(seed: UInt64) throws -> TrainableParameters

    /// A factor for the learning rate of one of its own parameters; nil for everybody else's, which
    /// is the default.
    func rateFactor(_ name: String) -> Float?

    /// What it adds to the loss of a step.
    ///
    /// - Parameters:
    ///   - output: What the objective made; gradients pass through its tensors.
    ///   - parameters: All parameters of the step.
    ///   - step: Which step.
    /// - Returns: Its terms and metrics, or nil where it has nothing to say about this batch.
    /// - Throws: What data and networks throw.
    func loss(
        _ output: Output, _ parameters: StepParameters, _ step: TrainingStep
    ) throws -> AuxiliaryTerms?

    /// Called after each step's update, for what is not trained by gradients; does nothing by
    /// default.
    ///
    /// - Parameters:
    ///   - parameters: The parameters after the update.
    ///   - step: The step.
    /// - Throws: What networks throw.
    func finish(_ parameters: inout TrainableParameters, _ step: TrainingStep) throws

    /// Further numbers about how far training is.
    ///
    /// - Parameter output: What the objective made of a batch that is not learnt from.
    /// - Returns: The numbers by name; none by default.
    /// - Throws: What data and networks throw.
    func measurements(_ output: Output) throws -> [String: Float]

    /// What a person should know of a log; see ``TrainingObjective/warnings(_:)``.
    func warnings(_ log: [MetricsLog.Entry]) -> [String]

    /// The same over images that are not learnt from; nil, the default, where it has no part in
    /// validation.
    var validation: Self? { get }
}

extension AuxiliaryLoss {
    /// By default there are no parameters.
    public func initialParameters(seed: UInt64) throws -> TrainableParameters {
        TrainableParameters()
    }

    /// By default all parameters are somebody else's.
    public func rateFactor(_ name: String) -> Float? { nil }

    /// By default nothing is done.
    public func finish(_ parameters: inout TrainableParameters, _ step: TrainingStep) {}

    /// By default there is nothing more to measure.
    public func measurements(_ output: Output) throws -> [String: Float] { [:] }

    /// By default there is nothing to warn of.
    public func warnings(_ log: [MetricsLog.Entry]) -> [String] { [] }

    /// By default it has no part in validation.
    public var validation: Self? { nil }
}

/// What an auxiliary loss adds to a step.
public struct AuxiliaryTerms: Sendable {
    /// Tensors without axes and their weights in the sum, in the order in which they are added.
    public var weighted: [(weight: Float, value: Tensor)]
    /// Numbers to report by name.
    public var metrics: [String: Float]

    /// Terms of a loss.
    public init(_ weighted: [(weight: Float, value: Tensor)], metrics: [String: Float] = [:]) {
        self.weighted = weighted
        self.metrics = metrics
    }
}

/// An objective that auxiliary losses add to.
///
/// Their parameters' rates and what they do after a step are theirs: by default an objective's own
/// ``TrainingObjective/rateFactor(_:)`` and ``TrainingObjective/finish(_:_:_:)`` ask them.
public protocol ExtendableObjective: TrainingObjective {
    /// What it makes of a batch.
    associatedtype Output
    /// The losses beside its own.
    var auxiliary: [any AuxiliaryLoss<Output>] { get set }
}

extension ExtendableObjective {
    /// The learning rate of auxiliary losses' parameters is up to them.
    public func rateFactor(_ name: String) -> Float { auxiliary.rateFactor(name) ?? 1 }

    /// What auxiliary losses warn of.
    public func warnings(_ log: [MetricsLog.Entry]) -> [String] { auxiliary.warnings(log) }

    /// Lets auxiliary losses finish the step.
    public func finish(
        _ parameters: inout TrainableParameters, _ step: TrainingStep, _ losses: [TrainingLoss]
    ) throws {
        try auxiliary.finish(&parameters, step)
    }
}

extension Array {
    /// Adds the initial parameters of all these losses to an objective's.
    func addInitialParameters<Output>(
        to parameters: inout TrainableParameters, seed: UInt64
    ) throws where Element == any AuxiliaryLoss<Output> {
        for loss in self { parameters.merge(try loss.initialParameters(seed: seed)) }
    }

    /// Adds the terms of all these losses to an objective's.
    func add<Output>(
        to loss: inout TrainingLoss, _ output: Output, _ parameters: StepParameters,
        _ step: TrainingStep
    ) throws where Element == any AuxiliaryLoss<Output> {
        for auxiliary in self {
            guard let terms = try auxiliary.loss(output, parameters, step) else { continue }
            for term in terms.weighted {
                loss.value = Tensor.combine(1, loss.value, term.weight, term.value)
            }
            loss.metrics.merge(terms.metrics) { $1 }
        }
    }

    /// The factor for the learning rate of a parameter of one of these losses.
    func rateFactor<Output>(_ name: String) -> Float?
    where Element == any AuxiliaryLoss<Output> {
        for loss in self { if let factor = loss.rateFactor(name) { return factor } }
        return nil
    }

    /// Lets all these losses finish a step.
    func finish<Output>(
        _ parameters: inout TrainableParameters, _ step: TrainingStep
    ) throws where Element == any AuxiliaryLoss<Output> {
        for loss in self { try loss.finish(&parameters, step) }
    }

    /// What all these losses warn of.
    func warnings<Output>(_ log: [MetricsLog.Entry]) -> [String]
    where Element == any AuxiliaryLoss<Output> { flatMap { $0.warnings(log) } }

    /// The same losses over images that are not learnt from.
    func validation<Output>() -> [any AuxiliaryLoss<Output>]
    where Element == any AuxiliaryLoss<Output> {
        func held<Loss: AuxiliaryLoss<Output>>(_ loss: Loss) -> (any AuxiliaryLoss<Output>)? {
            loss.validation
        }
        return compactMap { held($0) }
    }
}
