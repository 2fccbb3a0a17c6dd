public import TensorCore
public import WuerstchenNN

/// What an objective makes of a batch where a discriminator can judge it.
public protocol AdversarialOutput: Sendable {
    /// What it should have made.
    var real: Tensor { get }
    /// What it made, of the same shape; gradients pass through it.
    var fake: Tensor { get }
}

/// Learning from a discriminator that learns in the same step, under least squares (Mao et al.,
/// "Least Squares Generative Adversarial Networks", 2017): it says 1 of what is real and 0 of what
/// is fake.
///
/// The discriminator's parameters are under `adversary`, and thrown away after training. How well
/// it tells the two apart is the metric `adversary`: a quarter is chance.
public struct AdversarialLoss<Output: AdversarialOutput>: AuxiliaryLoss {
    /// Scores what is real or fake in an output, the first argument.
    public typealias Discriminator = @Sendable (_ judged: Tensor, _ output: Output) -> Tensor

    /// The weight of what deceives the discriminator.
    public var weight: Float
    /// The share of the steps in which the discriminator learns and is not yet listened to.
    public var start: Double
    /// How much faster the discriminator learns than what it judges.
    public var rate: Float
    private let discriminator: @Sendable (any ParameterSource, Precision) throws -> Discriminator
    private let scope = "adversary"

    /// A loss from a discriminator of your own.
    ///
    /// - Parameters:
    ///   - weight: The weight of what deceives the discriminator.
    ///   - start: The share of the steps in which the discriminator is not yet listened to.
    ///   - rate: How much faster the discriminator learns than what it judges.
    ///   - discriminator: Makes the discriminator of its parameters, which it may be asked for
    ///     several times in a step.
    public init(
        weight: Float, start: Double, rate: Float = 1,
        discriminator:
            @escaping @Sendable (any ParameterSource, Precision) throws -> Discriminator
    ) {
        self.weight = weight
        self.start = start
        self.rate = rate
        self.discriminator = discriminator
    }

    /// The discriminator's parameters.
    public func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try parameters.add(scope, from: InitialParameters(seed: seed)) {
            _ = try discriminator($0, .float32)
        }
        return parameters
    }

    /// The discriminator's own rate.
    public func rateFactor(_ name: String) -> Float? {
        name.hasPrefix(scope + ".") ? rate : nil
    }

    /// What the discriminator learns from and, from the start on, what is learnt from it.
    public func loss(
        _ output: Output, _ parameters: StepParameters, _ step: TrainingStep
    ) throws -> AuxiliaryTerms? {
        let judge = try discriminator(parameters.source(scope), step.precision)
        let apart = Tensor.combine(
            0.5, judge(output.real, output).scaled(by: 1, shift: -1).meanSquare(),
            0.5, judge(output.fake.detached(), output).meanSquare())
        var terms = AuxiliaryTerms(
            [(1, apart)], metrics: [scope: apart.detached().elements[0]])
        if Double(step.number) >= start * Double(step.count) {
            // The discriminator as it is: it does not learn from what deceives it.
            let frozen = try discriminator(parameters.frozen(scope), step.precision)
            let deceiving = frozen(output.fake, output).scaled(by: 1, shift: -1).meanSquare()
            terms.weighted.append((weight, deceiving))
        }
        return terms
    }
}

/// Images, and what an objective made of them.
public struct ImitatedImages: AdversarialOutput {
    /// The images, `[batch, height, width, 3]`, 0…1.
    public let real: Tensor
    /// What was made of them.
    public let fake: Tensor
}

extension AdversarialLoss where Output == ImitatedImages {
    /// A discriminator of image patches, for Stage A, and for Stage B through Stage A.
    ///
    /// - Parameters:
    ///   - weight: The weight of what deceives it, such as 0.05 for Stage A.
    ///   - start: The share of the steps in which it is not yet listened to.
    ///   - depth: The discriminator's layers of stride two: three see patches of 38 pixels, four of
    ///     78.
    ///   - rate: How much faster the discriminator learns than what it judges.
    /// - Returns: The loss.
    public static func patches(
        weight: Float, start: Double = 0.25, depth: Int = 3, rate: Float = 1
    ) -> Self {
        Self(weight: weight, start: start, rate: rate) { source, precision in
            let network = try PatchDiscriminator(source, precision: precision, depth: depth)
            return { judged, _ in network(judged) }
        }
    }

    /// A discriminator of image patches for a Stage B that is trained already: it sees larger
    /// patches than Stage A's, and learns fast, as all the time that there is goes to details.
    ///
    /// - Parameter weight: The weight of what deceives it, such as 0.05.
    /// - Returns: The loss.
    public static func patchesOfStageB(weight: Float) -> Self {
        patches(weight: weight, start: 0.1, depth: 4, rate: 5)
    }
}

extension AdversarialLoss where Output == FlowOutput {
    /// A discriminator of latents beside the noise that they came from, for distillation to one
    /// step: it makes up for what a mean error blurs.
    ///
    /// It learns faster than the student (Heusel et al., "GANs Trained by a Two Time-Scale Update
    /// Rule", 2017).
    ///
    /// - Parameters:
    ///   - couplings: The couplings whose latents it judges.
    ///   - weight: The weight of what deceives it, such as 0.005 for Stage B.
    ///   - start: The share of the steps in which it is not yet listened to.
    /// - Returns: The loss.
    public static func latents(
        of couplings: Couplings, weight: Float, start: Double = 0.05
    ) -> Self {
        let shape = couplings.latentShape
        let isEven = shape.rows.isMultiple(of: 2) && shape.columns.isMultiple(of: 2)
        // As Stage B folds its own: what it sees of a large latent should be more than a few
        // positions.
        let patch = shape.rows > 24 && isEven ? 2 : 1
        return Self(weight: weight, start: start, rate: 4) { source, precision in
            let network = try LatentDiscriminator(
                source, channels: shape.channels, patch: patch, precision: precision)
            return { judged, output in network(judged, output.noise) }
        }
    }
}
