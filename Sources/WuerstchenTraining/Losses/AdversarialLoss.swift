internal import TensorCore

/// Learning from an adversary that learns in the same step, under least squares (Mao et al., "Least
/// Squares Generative Adversarial Networks", 2017): it says 1 of what is wanted and 0 of what is
/// made.
struct AdversarialLoss {
    /// The scope of the adversary's parameters.
    static let scope = "adversary"

    /// The weight of what deceives the adversary.
    let weight: Float
    /// The share of the steps in which the adversary learns and is not yet listened to.
    let start: Double

    /// Adds what the adversary learns from and what is learnt from it.
    ///
    /// - Parameters:
    ///   - loss: Everything else that is learnt from.
    ///   - parameters: Those of the step, with the adversary's.
    ///   - step: Which step.
    ///   - wanted: What the adversary shall give 1.
    ///   - made: What it shall give 0; gradients reach it from what deceives the adversary.
    ///   - judge: Makes the adversary of its parameters.
    /// - Returns: The sum, and how well the adversary tells the two apart: a quarter is chance.
    /// - Throws: What making the adversary throws.
    func added(
        to loss: Tensor, _ parameters: StepParameters, _ step: TrainingStep, wanted: Tensor,
        made: Tensor, judge: (ParameterValues) throws -> (Tensor) -> Tensor
    ) rethrows -> (loss: Tensor, apart: Float) {
        let adversary = try judge(parameters.source(Self.scope))
        let apart = Tensor.combine(
            0.5, adversary(wanted).scaled(by: 1, shift: -1).meanSquare(),
            0.5, adversary(made.detached()).meanSquare())
        var sum = loss + apart
        if Double(step.number) >= start * Double(step.count) {
            // The adversary as it is: it does not learn from what deceives it.
            let frozen = try judge(parameters.frozen(Self.scope))
            sum = Tensor.combine(
                1, sum, weight, frozen(made).scaled(by: 1, shift: -1).meanSquare())
        }
        return (sum, apart.detached().elements[0])
    }
}
