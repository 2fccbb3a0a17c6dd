import TensorCore

@testable import WuerstchenTraining

/// The gradients of everything that an objective learns, by name, in the first of ten steps.
func firstGradients(
    of objective: some TrainingObjective, _ values: [String: Tensor], batchSize: Int
) throws -> [String: Tensor] {
    let parameters = StepParameters(values, isTrainable: objective.isTrainable)
    let step = TrainingStep(
        number: 0, count: 10, batchSize: batchSize, precision: .float32, random: RandomStream(1))
    let found = try objective.loss(parameters, step).value.gradients()
    return parameters.leaves.filter { objective.isTrainable($0.key) }.compactMapValues { found[$0] }
}
