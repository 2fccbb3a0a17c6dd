import TensorCore
import Testing
import Wuerstchen
import WuerstchenScenes
import WuerstchenTraining
import _WuerstchenTestSupport

@Suite("Smaller decoders") struct DecoderObjectiveTests {
    @Test("the decoder learns and the encoder stays")
    func isTrainable() throws {
        var deep = StageA.Configuration()
        (deep.channels, deep.bottleneckBlocks, deep.codes) = (16, 3, 8)
        var parameters = TrainableParameters()
        try parameters.addStageA(deep, seed: 3)
        let weights = parameters.scope("stage_a")
        let teacher = try StageA(configuration: deep, parameters: ParameterValues(weights))
        var shallow = deep
        shallow.bottleneckBlocks = 1
        let objective = DecoderObjective(
            configuration: shallow, teacher: teacher, images: SceneImages(seed: 2, crop: 32))
        var start: [String: Tensor] = [:]
        for (name, value) in shallow.parameters(pruning: weights, of: deep) {
            start["stage_a.\(name)"] = value
        }
        var options = TrainingOptions(
            steps: 40, batchSize: 4, peakRate: 5e-3, weightDecay: 0, averageDecay: 0.9)
        options.precision = .float32
        var trainer = try Trainer(objective, options, start: start)
        var losses: [Double] = []
        while let report = try trainer.next() { losses.append(report.loss) }
        let (first, last) = (losses.prefix(8).reduce(0, +), losses.suffix(8).reduce(0, +))
        #expect(last < 0.8 * first, "\(losses)")
        for (name, value) in trainer.state.parameters.values {
            let isDecoder = name.contains("up_blocks") || name.contains("out_block")
            let moved = value.elements != start[name]?.elements
            if !isDecoder { #expect(!moved, "\(name)") }
            if name.hasSuffix("out_block.0.weight") { #expect(moved) }
        }
        #expect(try objective.contactSheet(trainer.state.average.values) != nil)
    }
}
