private import Foundation
public import TensorCore
public import Wuerstchen
internal import WuerstchenNN

/// Learning a flow from couplings: `‖v(τ · u + (1 − τ) · ε, τ) − (u − ε)‖²` (Liu et al., "Flow
/// Straight and Fast", 2022, and "InstaFlow", 2023).
///
/// Over all times it is reflow: the new flow leads the same noise to the same latents on straighter
/// lines. At the beginning alone it is distillation to one step, which is good when the couplings
/// are those of a flow that is straight already.
public struct FlowObjective<Stage: TrainableStage>: ExtendableObjective
where Stage.Configuration: DistillableConfiguration {
    /// What learns.
    public var student: FlowStudent<Stage>
    /// What it learns from.
    public var couplings: Couplings
    /// Pairs that are not learnt from.
    @Incidental public var validationCouplings: Couplings
    /// Which times are learnt.
    public var times: FlowTimes

    /// Whether attention stays the teacher's, so that the student can be stored without it.
    public var keepsAttention = false
    /// Losses beside the error, such as ``AdversarialLoss/latents(of:weight:start:)`` in
    /// distillation to one step.
    public var auxiliary: [any AuxiliaryLoss<FlowOutput>] = []

    /// An objective for a student; the couplings' last file is set aside.
    public init(_ student: FlowStudent<Stage>, couplings: Couplings, times: FlowTimes) {
        self.student = student
        let parts = couplings.heldOutLast
        self.couplings = parts.training
        validationCouplings = parts.validation
        self.times = times
    }

    /// The training's name.
    public var name: String { "\(Stage.identifier)-\(times.name)" }

    /// The student's parameters, and the auxiliary losses'.
    public func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try parameters.add(student.blueprint, seed: seed)
        try auxiliary.addInitialParameters(to: &parameters, seed: seed)
        return parameters
    }

    /// All but the attention that is kept.
    public func isTrainable(_ name: String) -> Bool {
        !(keepsAttention && Stage.Configuration.isAttention(name))
    }

    /// The loss of a batch.
    public func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        var random = step.random
        let batch = couplings.batch(step.batch, count: step.batchSize)
        let field = try student.field(
            parameters.source(Stage.scope), batch.conditions, precision: step.precision)
        let flowTimes = times.draw(step.batchSize, &random)
        let clean = field.map.normalized(batch.clean)
        let y =
            clean.scaled(bySample: flowTimes.map { Float($0) })
            + batch.noise.scaled(bySample: flowTimes.map { Float(1 - $0) })
        let seen = try field(y, at: flowTimes)
        let error = (seen.velocity - (clean - batch.noise)).meanSquare()
        var loss = TrainingLoss(error)
        guard !auxiliary.isEmpty else { return loss }
        loss.metrics["error"] = error.detached().elements[0]
        let output = FlowOutput(real: clean, fake: seen.clean, noise: batch.noise)
        try auxiliary.add(to: &loss, output, parameters, step)
        return loss
    }

    /// The same over pairs that are not learnt from.
    public var validation: FlowObjective? {
        var result = self
        result.couplings = validationCouplings
        result.auxiliary = auxiliary.validation()
        return result
    }

    /// How straight the flow is, and how far a few of its steps end from the couplings.
    public func measurements(_ parameters: [String: Tensor]) throws -> [String: Float] {
        let batch = validationCouplings.first(32)
        let field = try student.field(
            StepParameters(fixed: parameters).source(Stage.scope), batch.conditions,
            precision: .bfloat16)
        var result: [String: Float] = [:]
        for steps in times.steps.map({ [$0] }) ?? [1, 2, 4, 8] {
            let solution = try field.solve(
                from: batch.noise, timesteps: field.map.timesteps(count: steps), solver: .euler)
            result["gap, \(steps) steps"] = relativeDistance(solution.latent, batch.clean)
            result["energy, \(steps) steps"] =
                solution.latent.meanSquare().elements[0] / batch.clean.meanSquare().elements[0]
        }
        if times.steps == nil {
            result["straightness"] = Float(
                try field.straightness(from: batch.noise, steps: 8).ratio)
        }
        return result
    }

    /// The couplings' images, and those of the student's one step.
    public func contactSheet(_ parameters: [String: Tensor]) throws -> ContactSheet? {
        let batch = validationCouplings.first(8)
        let field = try student.field(
            StepParameters(fixed: parameters).source(Stage.scope), batch.conditions,
            precision: .bfloat16)
        guard let wanted = try student.context.pixels(of: batch.clean) else { return nil }
        var sheet = ContactSheet(title: name, imageSide: 160)
        try sheet.addRow("couplings", wanted, captions: batch.conditions.captions)
        for steps in times.steps.map({ [$0] }) ?? [1, 4] {
            let solution = try field.solve(
                from: batch.noise, timesteps: field.map.timesteps(count: steps), solver: .euler)
            if let pixels = try student.context.pixels(of: solution.latent) {
                try sheet.addRow(steps == 1 ? "one step" : "\(steps) steps", pixels)
            }
        }
        return sheet
    }
}

/// What a student makes of a batch of couplings, as auxiliary losses are given it: normalised
/// latents, `[batch, height, width, channels]`.
public struct FlowOutput: AdversarialOutput {
    /// The teacher's latents.
    public let real: Tensor
    /// The student's, from the same noise.
    public let fake: Tensor
    /// The noise that both came from.
    public let noise: Tensor
}

/// The distance of latents to others, relative to those' own deviation:
/// `√(E‖a − b‖² / E‖b − mean(b)‖²)`, 0 for the same. Of a single latent its own size is taken.
public func relativeDistance(_ a: Tensor, _ b: Tensor) -> Float {
    guard b.shape[0] > 1 else {
        let size = b.count == 0 ? 0 : b.meanSquare().elements[0]
        return size > 0 ? ((a - b).meanSquare().elements[0] / size).squareRoot() : 0
    }
    return ((a - b).meanSquare().elements[0] / b.spread).squareRoot()
}

extension Tensor {
    /// The mean squared distance of samples from their mean, over all elements.
    var spread: Float {
        let rows = reshaped(to: [shape[0], count / max(1, shape[0])])
        let sum = (0..<shape[0]).dropFirst().reduce(rows[0..<1]) { $0 + rows[$1..<$1 + 1] }
        let mean = sum.scaled(by: 1 / Float(max(1, shape[0])))
        return (rows - Tensor.concatenating([Tensor](repeating: mean, count: shape[0])))
            .meanSquare().elements[0]
    }
}
