public import Foundation
public import TensorCore
public import Wuerstchen
internal import WuerstchenNN

/// Learning a step from a discriminator with a pretrained stage for a body, which learns in the
/// same step (Lin et al., "SDXL-Lightning", 2024).
///
/// What a student of few steps cannot do as its teacher does, a mean error blurs. The discriminator
/// asks for sharp latents instead: at first for those that the teacher makes of the same beginning,
/// which keeps student and teacher together; then, with a head of its own, for any that look right,
/// which allows the student what it is able to do. The loss is the non-saturating one (Goodfellow
/// et al., "Generative Adversarial Networks", 2014).
///
/// Clean latents, and those of students of one or two steps, are noised before they are judged: at
/// different strengths, so that the discriminator sees detail and layout and cannot win by a
/// trifle. Its slope at real latents is held small (approximate R1; Lin et al., "Diffusion
/// Adversarial Post-Training for One-Step Video Generation", 2025), and the objective's own error
/// stays as an anchor: the discriminator's gradient is scaled to a multiple of the error's.
///
/// The discriminator's parameters are under `adversary`, and thrown away after training. Its
/// metrics are ``lossName``, its loss, where 1.39 is chance; the shares of real and fake latents
/// that it recognises; and the length of the gradient that the student learns from.
public struct FeatureAdversary<Stage: FeatureStage>: AuxiliaryLoss {
    /// The discriminator's body; its parameters are ``weights``.
    public let blueprint: StageBlueprint<Stage>
    /// What the body begins with.
    public let weights: [String: Tensor]
    /// What makes the body's conditioning.
    public var context: any StageContext<Stage>
    /// The share of the steps in which the discriminator learns and is not yet listened to.
    public var start = 0.05
    /// The same for a student that predicts clean latents, which its teacher does not: it first has
    /// to learn that.
    public var conversionStart = 0.25
    /// The share of the steps after which latents are judged alone, whatever they began with.
    public var relaxation = 0.6
    /// The weight of the error beside the discriminator, as long as latents are judged with their
    /// beginning and after that: relative lengths of gradients.
    public var anchor: (pair: Float, single: Float) = (0.5, 0.2)
    /// How much faster the discriminator learns than the student: its heads begin with nothing, and
    /// as long as there is an anchor it does no harm.
    public var rate: Float = 5
    /// The weight of the slope at real latents, and how far off it is measured.
    public var slope: (weight: Float, deviation: Float) = (10, 0.05)
    /// The times that latents are noised to, from where detail is judged to where layout is.
    public var noiseTimes: [Float] = [0.02, 0.25, 0.5, 0.75]
    /// How much more often the first of them is taken in the end.
    public var detail: Float = 3
    private let scope = "adversary"

    /// An adversary.
    ///
    /// - Parameters:
    ///   - stage: All about a pretrained stage but its weights.
    ///   - weights: Its weights under their published names.
    ///   - context: What makes its conditioning.
    public init(
        _ stage: StageBlueprint<Stage>, weights: [String: Tensor],
        in context: any StageContext<Stage>
    ) {
        var blueprint = stage
        blueprint.configuration = Stage.featureConfiguration(of: stage.configuration)
        self.blueprint = blueprint
        self.weights = weights
        self.context = context
    }

    /// An adversary with the body of a cascade's stage.
    ///
    /// - Parameters:
    ///   - cascade: The cascade, whose context the body is conditioned by.
    ///   - folder: The folder of the stage as it was trained: no student of it, which sees noise of
    ///     few strengths only.
    /// - Throws: What reading the folder and loading throw.
    public init(of cascade: Cascade, weightsIn folder: URL) throws where Stage: CascadeStage {
        let trained = StudentFolder(folder)
        var blueprint = try Stage.part(in: cascade).blueprint()
        blueprint.configuration = try trained.configuration()
        self.init(
            blueprint, weights: try trained.parameters(over: folder).values(),
            in: try Stage.context(in: cascade))
    }

    private typealias Discriminator = FeatureDiscriminator<Stage>

    /// The body's weights, and the heads' initial parameters.
    public func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try parameters.add(part(.body), from: ParameterValues(weights, origin: "the teacher")) {
            _ = try blueprint.stage($0)
        }
        let channels = Stage.featureChannels(of: blueprint.configuration)
        for (part, passes) in [(Discriminator.Part.pair, 2), (.single, 1)] {
            try parameters.add(self.part(part), from: InitialParameters(seed: seed)) {
                _ = try FeatureHead($0, channels: channels, passes: passes, precision: .float32)
            }
        }
        return parameters
    }

    private func part(_ part: Discriminator.Part) -> String { "\(scope).\(part.rawValue)" }

    /// The discriminator's own rate.
    public func rateFactor(_ name: String) -> Float? {
        name.hasPrefix(scope + ".") ? rate : nil
    }

    /// What the discriminator learns from and, from the start on, what is learnt from it.
    public func loss(
        _ output: TrajectoryOutput, _ parameters: StepParameters, _ step: TrainingStep
    ) throws -> AuxiliaryTerms? {
        let done = Double(step.number) / Double(max(1, step.count))
        let isPair = done < relaxation
        var random = output.random
        let fake = output.fake.detached().tracked()
        let judged = noised(output, fake, isPair: isPair, &random)
        let judge = try Discriminator(
            blueprint, { parameters.source(part($0)) }, output.conditions, context,
            precision: step.precision)
        let points = output.times.map { output.map.point(flowTime: $0) }
        let start =
            isPair
            ? try judge.features(
                output.map.diffusionState(output.start, at: points), times: points.map(\.time))
            : nil
        func logits(_ latents: Tensor) throws -> Tensor {
            judge(try judge.features(latents, times: judged.times), beside: start)
        }
        let (real, seen) = (try logits(judged.real), try logits(judged.fake.detached()))
        let apart = real.crossEntropy(classes(1, real)) + seen.crossEntropy(classes(0, seen))
        let nearby = judged.real + random.normal(judged.real.shape).scaled(by: slope.deviation)
        var metrics = [
            lossName: apart.detached().elements[0], realName: share(of: real, over: true),
            fakeName: share(of: seen, over: false),
        ]
        var terms: [(Float, Tensor)] = [
            (1, apart), (slope.weight, (try logits(nearby) - real).opinions.meanSquare()),
        ]
        if done >= (output.predictsClean ? conversionStart : self.start) {
            // The discriminator as it is: it does not learn from what deceives it.
            let frozen = try Discriminator(
                blueprint, { parameters.frozen(part($0)) }, output.conditions, context,
                precision: step.precision)
            let found = frozen(
                try frozen.features(judged.fake, times: judged.times),
                beside: start?.map { $0.detached() })
            let gradient = try found.crossEntropy(classes(1, found)).gradients()[fake]
            if let gradient {
                let length = Float(gradient.squareSum().squareRoot())
                metrics[gradientName] = length
                terms.append(
                    (
                        1,
                        pull(
                            output, gradient, length, anchor: isPair ? anchor.pair : anchor.single)
                    ))
            }
        }
        return AuxiliaryTerms(terms, metrics: metrics)
    }

    private func classes(_ number: Int, _ logits: Tensor) -> [Int?] {
        [Int?](repeating: number, count: logits.shape[0])
    }

    /// The share of samples of which the teacher's logit is the larger or the smaller one.
    private func share(of logits: Tensor, over isTeachers: Bool) -> Float {
        let values = logits.detached().elements
        let rows = values.count / 2
        let found = (0..<rows).count { (values[2 * $0 + 1] > values[2 * $0]) == isTeachers }
        return Float(found) / Float(max(1, rows))
    }

    /// A term of no value whose gradient with respect to the student's step is the discriminator's,
    /// as long as the error's gradient over the anchor. Nothing is recorded that spans both
    /// networks.
    private func pull(
        _ output: TrajectoryOutput, _ gradient: Tensor, _ length: Float, anchor: Float
    ) -> Tensor {
        // The error is that of the velocity.
        let factors = zip(output.times, output.ends).map { start, end in
            2 / (Float(output.fake.count) * Float((end - start) * (end - start)))
        }
        let error = (output.fake.detached() - output.real).scaled(bySample: factors)
        let factor = Float(error.squareSum().squareRoot()) / max(anchor * length, 1e-20)
        let term = (output.fake * gradient.scaled(by: factor)).sum()
        return term - term.detached()
    }

    /// Latents as the discriminator is given them: at a step's end in diffusion's variables, or
    /// noised from there.
    private func noised(
        _ output: TrajectoryOutput, _ fake: Tensor, isPair: Bool, _ random: inout RandomStream
    ) -> (real: Tensor, fake: Tensor, times: [Float]) {
        let schedule = output.map.schedule
        let points = output.ends.map {
            $0 >= 1 ? output.map.end : output.map.point(flowTime: $0)
        }
        let times = zip(output.ends, points).map { end, point -> Float in
            // Only clean latents are noised where there are many steps.
            guard end >= 1 || output.steps <= 2 else { return point.time }
            let choices = (end >= 1 ? [] : [point.time]) + noiseTimes.filter { $0 > point.time }
            guard let first = choices.first else { return point.time }
            let weight = isPair ? 1 : detail
            let place = random.uniform() * (weight + Float(choices.count - 1)) - weight
            return place < 0 ? first : choices[min(1 + Int(place), choices.count - 1)]
        }
        // From ᾱ at the end of the step to a smaller one; where time stays, nothing is added.
        let ratios = zip(points, times).map { point, time -> Float in
            guard time > point.time else { return 1 }
            return (schedule.alphaBar(at: time) / Float(point.signal * point.signal)).squareRoot()
        }
        let deviations = zip(zip(points, times), ratios).map { point, ratio -> Float in
            guard point.1 > point.0.time else { return 0 }
            let left = ratio * ratio * Float(point.0.noise * point.0.noise)
            return max(0, 1 - schedule.alphaBar(at: point.1) - left).squareRoot()
        }
        // The same noise for both where they are compared, for the judgement's sake.
        let shared = random.normal(fake.shape)
        let other = isPair ? shared : random.normal(fake.shape)
        func noised(_ latents: Tensor, _ noise: Tensor) -> Tensor {
            output.map.diffusionState(latents, at: points).scaled(bySample: ratios)
                + noise.scaled(bySample: deviations)
        }
        return (noised(output.real, shared), noised(fake, other), times)
    }
}

extension Tensor {
    /// The logarithm of the odds that two logits stand for.
    fileprivate var opinions: Tensor { channels(1..<2) - channels(0..<1) }
}
