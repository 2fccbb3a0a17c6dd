import TensorCore
import Testing
import Wuerstchen
import WuerstchenTraining
import _WuerstchenTestSupport

/// Gradients of whole networks against the reference's, which were computed in double precision;
/// see `Tests/Reference/make_gradients.py`.
@Suite("Gradients as in the reference") struct GradientParityTests {
    /// The allowed length of a difference, relative to the gradient's.
    private static let tolerance = 1e-4

    /// A case whose parameters are tracked.
    private struct Tracked {
        let test: GradientCase
        let leaves: [String: Tensor]
        let statistics: BatchStatistics?

        init(_ name: String, withStatistics: Bool = false) throws {
            test = try GradientCase(name)
            leaves = test.parameters.mapValues { $0.tracked() }
            statistics = withStatistics ? BatchStatistics() : nil
        }

        var source: ParameterValues { ParameterValues(leaves, batchStatistics: statistics) }
    }

    private func compare(
        _ found: Tensor?, _ expected: Tensor, _ name: String, isZero: Bool = false,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        // What vanishes for a reason is not always computed, and then nothing but rounding is left.
        if isZero {
            #expect(
                found?.elements.allSatisfy { abs($0) < 1e-5 } ?? true, "\(name)",
                sourceLocation: sourceLocation)
            return
        }
        guard let found, found.count == expected.count else {
            Issue.record("no gradient of \(name)", sourceLocation: sourceLocation)
            return
        }
        let difference = found.reshaped(to: expected.shape) - expected
        let (error, length) = (
            difference.squareSum().squareRoot(), expected.squareSum().squareRoot()
        )
        #expect(
            error <= GradientParityTests.tolerance * length, "\(name): \(error) of \(length)",
            sourceLocation: sourceLocation)
    }

    private func check(
        _ tracked: Tracked, _ loss: Tensor, inputs: [String: Tensor] = [:],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let test = tracked.test
        let expected = try #require(test.loss, sourceLocation: sourceLocation)
        let value = loss.elements[0]
        #expect(
            abs(value - expected) <= 1e-5 * abs(expected), "loss \(value), expected \(expected)",
            sourceLocation: sourceLocation)
        #expect(!test.gradients.isEmpty, sourceLocation: sourceLocation)
        let gradients = try loss.gradients()
        for (name, expected) in test.gradients.sorted(by: { $0.key < $1.key }) {
            let leaf = try #require(tracked.leaves[name], sourceLocation: sourceLocation)
            compare(
                gradients[leaf], expected, name, isZero: test.zeroGradients.contains(name),
                sourceLocation: sourceLocation)
        }
        #expect(
            Set(inputs.keys) == Set(test.inputGradients.keys), sourceLocation: sourceLocation)
        for (name, input) in inputs {
            let expected = try #require(test.inputGradients[name], sourceLocation: sourceLocation)
            compare(gradients[input], expected, name, sourceLocation: sourceLocation)
        }
    }

    private func noiseLoss(_ predicted: Tensor, _ test: GradientCase) throws -> Tensor {
        (predicted - (try test.map("noise"))).meanSquare(
            weights: try test.input("weights").elements)
    }

    @Test("Stage C, its inputs included", arguments: [false, true])
    func stageC(checkpoints: Bool) throws {
        let tracked = try Tracked("stage_c")
        let test = tracked.test
        var stage = try StageC(configuration: test.configuration(), parameters: tracked.source)
        stage.checkpointsActivations = checkpoints
        let (x, text) = (try test.input("x").tracked(), try test.input("text").tracked())
        let predicted = try stage.predictNoise(
            x.channelsLast(), times: test.input("times").elements,
            conditioning: stage.prepare(text: text))
        try check(tracked, noiseLoss(predicted, test), inputs: ["x": x, "text": text])
    }

    @Test(
        "Stage B, with skips and semantic mappers, its inputs included", arguments: [false, true])
    func stageB(checkpoints: Bool) throws {
        let tracked = try Tracked("stage_b")
        let test = tracked.test
        var stage = try StageB(configuration: test.configuration(), parameters: tracked.source)
        stage.checkpointsActivations = checkpoints
        let x = try test.input("x").tracked()
        let (effnet, clip) = (try test.input("effnet").tracked(), try test.input("clip").tracked())
        let conditioning = stage.prepare(
            semantic: effnet.channelsLast(), text: clip, height: x.shape[2], width: x.shape[3],
            trace: nil)
        let predicted = try stage.predictNoise(
            x.channelsLast(), times: test.input("times").elements, conditioning: conditioning)
        try check(
            tracked, noiseLoss(predicted, test), inputs: ["x": x, "effnet": effnet, "clip": clip])
    }

    @Test("Stage A through the quantiser, with the batch's statistics")
    func stageA() throws {
        let tracked = try Tracked("stage_a", withStatistics: true)
        let test = tracked.test
        let stage = try StageA(configuration: test.configuration(), parameters: tracked.source)
        let image = try test.input("image").tracked()
        let pixels = image.channelsLast()
        let latents = try stage.encode(pixels)
        let codes = stage.quantize(latents).quantized
        let decoded = try stage.decode(unscaled: latents + (codes - latents).detached())
        let difference = decoded - pixels
        let book = (codes - latents.detached()).meanSquare()
        let committed = (latents - codes.detached()).meanSquare()
        let loss = Tensor.combine(
            1, difference.meanSquare() + difference.meanAbs() + book, 0.25, committed)
        try check(tracked, loss, inputs: ["image": image])
        let statistics = try #require(tracked.statistics).values
        for name in ["running_mean", "running_var"] {
            let found = try #require(statistics["down_blocks.3.1.\(name)"])
            let before = try #require(test.parameters["down_blocks.3.1.\(name)"])
            compare(
                Tensor.combine(0.9, before, 0.1, found), try test.result(name), name)
        }
    }

    @Test("Stage A with running statistics, from pixels to pixels")
    func autoencoder() throws {
        let tracked = try Tracked("stage_a_decoder")
        let test = tracked.test
        let stage = try StageA(configuration: test.configuration(), parameters: tracked.source)
        let image = try test.input("image").tracked()
        let decoded = try stage.decode(unscaled: stage.encode(image.channelsLast()))
        try check(
            tracked, (decoded - image.channelsLast()).meanSquare(), inputs: ["image": image])
    }

    @Test("the text encoder under a padding mask")
    func text() throws {
        let tracked = try Tracked("text")
        let test = tracked.test
        let model = try CLIPTextModel(
            configuration: test.configuration(), parameters: tracked.source)
        let hidden = try model(
            ids: test.rows("ids"), mask: test.rows("mask").map { $0.map { $0 != 0 } })
        try check(tracked, (hidden * test.input("factors")).mean())
    }

    @Test("fused and full MBConv blocks with the batch's statistics")
    func blocks() throws {
        let tracked = try Tracked("mbconv", withStatistics: true)
        let test = tracked.test
        let (first, second) = try Parameters.load(from: tracked.source) { root in
            (
                try MBConv(
                    root[0], isFused: true, inputs: 6, outputs: 8, expansion: 4, stride: 2),
                try MBConv(
                    root[1], isFused: false, inputs: 8, outputs: 8, expansion: 4, stride: 1)
            )
        }
        let x = try test.input("x").tracked()
        let result = second(first(x.channelsLast()))
        try check(tracked, (result - test.map("target")).meanSquare(), inputs: ["x": x])
    }

    @Test("a residual block and the modulation behind it")
    func residualBlock() throws {
        let tracked = try Tracked("residual_block")
        let test = tracked.test
        let (residual, timestep) = try Parameters.load(from: tracked.source) { root in
            (
                try ResidualBlock(root["blocks"][0], channels: 8),
                try TimestepBlock(root["blocks"][1], channels: 8, embedding: 16)
            )
        }
        let (x, embedding) = (try test.input("x").tracked(), try test.input("embedding").tracked())
        let result = residual(x.channelsLast(), modulation: timestep.modulation(embedding))
        try check(
            tracked, (result - test.map("target")).meanSquare(),
            inputs: ["x": x, "embedding": embedding])
    }

    @Test("AdamW with warm-up, cosine, clipping and average, step by step")
    func optimizer() throws {
        let test = try GradientCase("adamw")
        func value(_ tensor: Tensor, _ step: Int) -> Tensor {
            tensor[step..<step + 1].reshaped(to: Shape(Array(tensor.shape.array.dropFirst())))
        }
        var parameters = TrainableParameters(test.parameters)
        var average = ExponentialAverage(decay: 0.998, parameters.values)
        let optimizer = AdamW(weightDecay: 0.1)
        var state = OptimizerState()
        let rate = LearningRate(peak: 0.01, final: 1e-5, warmUp: 4, steps: 12)
        let rates = try test.result("rates").elements
        let norms = try test.result("norms").elements
        #expect(norms.contains { $0 > 1 } && norms.contains { $0 < 1 })
        for step in 0..<12 {
            let gradients = [
                "a": value(try test.input("gradient.a"), step),
                "b": value(try test.input("gradient.b"), step),
            ]
            let norm = globalNorm(gradients)
            #expect(abs(norm - norms[step]) <= 1e-5 * norms[step])
            #expect(abs(rate[step] - rates[step]) <= 1e-5 * rates[step])
            optimizer.update(
                &parameters, &state, gradients, scale: norm > 1 ? 1 / norm : 1
            ) { _ in rate[step] }
            average.update(parameters.values)
            for name in ["a", "b"] {
                compare(
                    parameters.values[name], value(try test.result("parameter.\(name)"), step),
                    "\(name), step \(step)")
                compare(
                    average.values[name], value(try test.result("average.\(name)"), step),
                    "average of \(name), step \(step)")
            }
        }
    }
}
