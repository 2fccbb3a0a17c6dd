internal import TensorCore
package import Testing
package import WuerstchenTraining

/// Trains an objective for a few steps in float32.
///
/// - Returns: The losses of all steps, the last value of each metric, and the state at the end.
package func train<Objective: TrainingObjective>(
    _ objective: Objective, steps: Int, batch: Int = 2, rate: Float = 3e-3
) throws -> (losses: [Double], metrics: [String: Double], state: TrainingState) {
    var options = TrainingOptions(steps: steps, batchSize: batch, peakRate: rate)
    options.precision = .float32
    var trainer = try Trainer(objective, options)
    var losses: [Double] = []
    var metrics: [String: Double] = [:]
    while let report = try trainer.next() {
        losses.append(report.loss)
        for metric in report.metrics { metrics[metric.name] = metric.value }
    }
    return (losses, metrics, trainer.state)
}

/// Expects the losses of the last quarter of a training to be a tenth below those of the first.
package func expectFall(_ losses: [Double], sourceLocation: SourceLocation = #_sourceLocation) {
    let count = losses.count / 4
    let (early, late) = (losses.prefix(count), losses.suffix(count))
    #expect(
        late.reduce(0, +) < 0.9 * early.reduce(0, +), "\(losses)",
        sourceLocation: sourceLocation)
}
