import TensorCore
import Testing
import Wuerstchen

/// A stage of one's own, of public API only.
private struct ConstantStage: DiffusionStage {
    struct Configuration: Codable, Sendable {
        var channels = 2
        var flow: FlowConfiguration?
    }

    var configuration = Configuration()
    var schedule = NoiseSchedule()

    static func description(
        of configuration: Configuration, schedule: NoiseSchedule
    ) -> StageDescription {
        StageDescription(
            name: "Constant stage", schedule: schedule, flow: configuration.flow,
            noiseSampling: .stageB, readsText: false,
            latentChannels: configuration.channels)
    }

    /// Predicts the noise for which every clean latent is the conditioning, or a flow's velocity.
    func predict(_ x: Tensor, times: [Float], conditioning: Float) throws -> Tensor {
        guard configuration.flow == nil else { return Tensor(repeating: conditioning, x.shape) }
        // A sampler asks for all samples at one time.
        let alphaBar = schedule.alphaBar(at: times[0])
        return x.scaled(
            by: 1 / (1 - alphaBar).squareRoot(),
            shift: -conditioning * (alphaBar / (1 - alphaBar)).squareRoot())
    }
}

@Suite("A third stage, sampled") struct ThirdStageSamplingTests {
    private let shape: Shape = [2, 3, 4, 2]

    @Test(arguments: [SamplingMethod.ddpm, .ddim, .euler])
    func samplesToItsCleanLatent(_ method: SamplingMethod) throws {
        var options = ConstantStage().defaultSampling
        options.method = method
        var sampler = try ConstantStage().sampler(
            0.75, shape: shape, noise: SeededNoise(seeds: [1, 2]), options: options)
        #expect(sampler.latent.elements.contains { abs($0 - 0.75) > 0.5 })
        var clean: Tensor?
        while let step = try sampler.next() { clean = step.predictedClean }
        let made = try #require(clean)
        #expect(made.shape == shape)
        #expect(made.elements.allSatisfy { abs($0 - 0.75) < 0.01 })
    }

    @Test func flowMovesByItsVelocity() throws {
        let stage = ConstantStage(configuration: .init(flow: FlowConfiguration(steps: 2)))
        #expect(stage.defaultSampling.timesteps.count == 2)
        var sampler = try stage.sampler(0.5, shape: shape, noise: SeededNoise(seeds: [1, 2]))
        let start = sampler.latent.elements
        while try sampler.next() != nil {}
        #expect(zip(start, sampler.latent.elements).allSatisfy { abs($1 - $0 - 0.5) < 0.001 })
    }

    @Test func refusesWhatDoesNotFit() throws {
        #expect(throws: WuerstchenError.self) {
            try ConstantStage().sampler(
                0, shape: [1, 3, 4, 5], noise: SeededNoise(seeds: [1]))
        }
        let flow = ConstantStage(configuration: .init(flow: FlowConfiguration()))
        #expect(throws: WuerstchenError.self) {
            try flow.sampler(
                0, shape: [1, 3, 4, 2], noise: SeededNoise(seeds: [1]), options: .stageB)
        }
    }
}
