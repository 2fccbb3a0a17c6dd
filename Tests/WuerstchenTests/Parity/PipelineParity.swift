import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// Recorded noise: what the reference drew, in its order.
private struct RecordedNoise: NoiseSource {
    /// `[steps, batch, channels, height, width]`
    let steps: Tensor
    var index = 0

    init(_ steps: Tensor) {
        self.steps = steps
    }

    mutating func next(batch: Int, height: Int, width: Int, channels: Int) -> Tensor {
        defer { index += 1 }
        return steps[index..<index + 1].reshaped(to: [batch, channels, height, width])
            .channelsLast()
    }
}

func checkScheduler(
    _ test: Fixtures.Case, _ tensors: CaseTensors, _ comparison: inout Comparison
) throws {
    let scalars = test.scalars
    let schedule = NoiseSchedule(
        offset: try #require(scalars?["s"]?.double),
        scaler: try #require(scalars?["scaler"]?.double))
    let timesteps =
        try scalars?["num_inference_steps"]?.int.map { try Timesteps(count: $0) } ?? .stageC
    let times = timesteps.times
    let alphaBars = times.map { schedule.alphaBar(at: $0) }
    try comparison.check("timesteps", times)
    try comparison.check("alpha_cumprod", alphaBars)
    let want = try tensors("out.previous_timestep").elements
    // Indices in older sets, times in newer ones; both must be those of the next entry.
    let isIndex = want.count > 1 && want[0] == 1 && want[1] == 2
    try comparison.check(
        "previous_timestep",
        isIndex ? (1...timesteps.count).map(Float.init) : Array(times.dropFirst()))
    let steps = (0..<timesteps.count).map {
        AncestralStep(
            alphaBar: alphaBars[$0], nextAlphaBar: alphaBars[$0 + 1], isLast: times[$0 + 1] == 0)
    }
    try comparison.check(
        "coefficients", steps.flatMap { [$0.factor, $0.noiseShare, $0.deviation] })
    let x = try tensors.map("in.x")
    let predicted = try tensors.map("in.model_output")
    let noise = try tensors("in.noise")
    let noiseMap = try tensors.map("in.noise")
    var stepped: [Tensor] = []
    var noised: [Tensor] = []
    for index in try #require(scalars?["step_index"]?.array).compactMap(\.int) {
        var sampler = try DiffusionSampler(
            stage: "test", schedule: schedule,
            options: SamplingOptions(
                timesteps: Timesteps([times[index], times[index + 1]]), guidance: 0),
            initial: x, noise: RecordedNoise(noise.reshaped(to: Shape([1] + noise.shape.array)))
        ) { _, _ in predicted }
        stepped.append(try #require(try sampler.next()).latent.channelsFirst())
        noised.append(schedule.noised(x, with: noiseMap, at: times[index]).channelsFirst())
    }
    try comparison.check("stepped", stepped.flatMap(\.elements))
    try comparison.check("added_noise", noised.flatMap(\.elements))
}

func checkPipeline(
    _ test: Fixtures.Case, _ tensors: CaseTensors, _ fixtures: Fixtures,
    _ comparison: inout Comparison
) throws {
    let pipeline = try Pipeline(test, tensors, fixtures)
    if test.name.hasSuffix("_chain") {
        try pipeline.checkChain(&comparison)
    } else if test.name.contains("_prior") {
        try pipeline.checkPrior(&comparison)
    } else if test.name.contains("_decoder") {
        try pipeline.checkDecoder(&comparison)
    } else {
        Issue.record("the suite knows no pipeline \(test.name)")
    }
}

/// The reference's two pipelines, as a case's scalars describe a run of them.
private struct Pipeline {
    let test: Fixtures.Case
    let tensors: CaseTensors
    let scalars: JSON
    let space: SemanticLatentSpace
    let prior: CheckpointFolder
    let main: CheckpointFolder
    let prompts: [String]
    let negatives: [String]

    init(_ test: Fixtures.Case, _ tensors: CaseTensors, _ fixtures: Fixtures) throws {
        self.test = test
        self.tensors = tensors
        let scalars = try #require(test.scalars)
        self.scalars = scalars
        var space = fixtures.space(scalars)
        if let number = scalars["latent_dim_scale"]?.double { space.latentsPerPosition = number }
        self.space = space
        prior = try fixtures.prior()
        main = try fixtures.main()
        let prompts =
            try scalars["prompts"]?.array?.compactMap(\.string)
            ?? [#require(scalars["prompt"]?.string)]
        self.prompts = prompts
        negatives =
            scalars["negative_prompts"]?.array?.compactMap(\.string)
            ?? prompts.map { _ in scalars["negative_prompt"]?.string ?? "" }
    }

    func options(_ stage: String) throws -> SamplingOptions {
        let steps = try #require(scalars["\(stage)_steps"])
        return SamplingOptions(
            timesteps: try steps.int.map { try Timesteps(count: $0) } ?? .stageC,
            guidance: Float(try #require(scalars["\(stage)_guidance"]?.double)))
    }

    func grid() throws -> SemanticGrid {
        func side(_ name: String) throws -> Int {
            space.gridSide(covering: try #require(scalars[name]?.int))
        }
        return SemanticGrid(
            rows: try side("requested_height"), columns: try side("requested_width"))
    }

    /// The seeds' own noise: one generator for the batch, or one for each image.
    func seededNoise() -> (any NoiseSource)? {
        if let seeds = scalars["seed"]?.array?.compactMap(\.double) {
            return SeededNoise(seeds: seeds.map { UInt64($0) })
        }
        return scalars["seed"]?.double.map { SharedNoise(seed: UInt64($0)) }
    }

    /// The tokens must be those that the reference fed in, and the seed must give its noise.
    func checkInputs(_ tokenizer: CLIPTokenizer, _ initial: Tensor) throws {
        let length = try tensors.shape("in.input_ids")[1]
        let ids = rows(try tensors.integers("in.input_ids").map(Int.init), of: length)
        #expect((prompts + negatives).map { tokenizer.encode($0).ids } == ids)
        guard var noise = seededNoise(), !test.name.hasSuffix("_decoder") else { return }
        let (batch, height, width, channels) = (
            initial.shape[0], initial.shape[1], initial.shape[2], initial.shape[3]
        )
        let drawn = noise.next(batch: batch, height: height, width: width, channels: channels)
        let difference = (drawn - initial).elements.map(abs).max() ?? 0
        #expect(difference < 1e-5, "the seed's noise is off by \(difference)")
    }

    func checkPrior(_ comparison: inout Comparison) throws {
        let encoder: TextEncoder<StageC> = try prior.textEncoder()
        let stage = try prior.stageC(space: space)
        let initial = try tensors.map("in.initial_latents")
        try checkInputs(encoder.tokenizer, initial)
        let text = try encoder.encode(prompts, negatives: negatives)
        if comparison.expects("text") { try comparison.check("text", text.prompts) }
        #expect(
            try grid() == SemanticGrid(rows: initial.shape[1], columns: initial.shape[2]))
        let options = try options("prior")
        var sampler = try stage.sampler(
            text, grid: grid(), imagesPerPrompt: initial.shape[0] / prompts.count,
            initial: initial, noise: RecordedNoise(tensors("in.step_noise")), options: options)
        let (latents, predictions) = try run(&sampler)
        try comparison.check("prior_timesteps", Array(options.timesteps.times.dropLast()))
        try comparison.check("prior_latents", latents.flatMap { $0.channelsFirst().elements })
        try comparison.check(
            "prior_predictions", predictions.flatMap { $0.channelsFirst().elements })
        try comparison.check(map: "image_embeddings", stage.latent(sampler).embedding)
    }

    func checkDecoder(_ comparison: inout Comparison) throws {
        let encoder: TextEncoder<StageB> = try main.textEncoder()
        let stage = try main.stageB(space: space)
        let initial = try tensors.map("in.initial_latents")
        try checkInputs(encoder.tokenizer, initial)
        let text = try encoder.encode(prompts, negatives: negatives)
        if comparison.expects("text") { try comparison.check("text", text.prompts) }
        let options = try options("decoder")
        let semantic = SemanticLatent(
            embedding: try tensors.map("in.image_embeddings"), space: space)
        var sampler = try stage.sampler(
            semantic, text: text, initial: initial,
            noise: RecordedNoise(tensors("in.step_noise")), options: options)
        let (latents, _) = try run(&sampler)
        try comparison.check("decoder_timesteps", Array(options.timesteps.times.dropLast()))
        try comparison.check("decoder_latents", latents.flatMap { $0.channelsFirst().elements })
        try checkImage(sampler.latent, &comparison)
    }

    func checkChain(_ comparison: inout Comparison) throws {
        let seed = UInt64(try #require(scalars["seed"]?.double))
        let priorEncoder: TextEncoder<StageC> = try prior.textEncoder()
        let stageC = try prior.stageC(space: space)
        var first = try stageC.sampler(
            priorEncoder.encode(prompts, negatives: negatives), grid: grid(),
            noise: SeededNoise(seeds: [seed]), options: options("prior"))
        _ = try run(&first)
        let semantic = stageC.latent(first)
        try comparison.check(map: "image_embeddings", semantic.embedding)
        let encoder: TextEncoder<StageB> = try main.textEncoder()
        let stageB = try main.stageB(space: space)
        var second = try stageB.sampler(
            semantic, text: encoder.encode(prompts, negatives: negatives), noise: first.noise,
            options: options("decoder"))
        _ = try run(&second)
        try comparison.check(map: "decoder_final_latents", second.latent)
        try checkImage(second.latent, &comparison)
    }

    /// All latents, the initial ones first, and all predictions.
    private func run(_ sampler: inout any Sampler) throws -> (
        latents: [Tensor], noise: [Tensor]
    ) {
        var latents = [sampler.latent]
        var predictions: [Tensor] = []
        while let step = try sampler.next() {
            latents.append(step.latent)
            predictions.append(step.predictedNoise)
        }
        return (latents, predictions)
    }

    private func checkImage(_ latent: Tensor, _ comparison: inout Comparison) throws {
        let expected = ["image", "image_crop", "image_uint8"].filter { comparison.expects($0) }
        if expected.isEmpty { return }
        let stage = try main.stageA()
        let pixels = try stage.decode(
            unscaled: latent.scaled(by: stage.configuration.latentScale))
        let clamped = pixels.mapped { min(max($0, 0), 1) }
        for name in expected {
            switch name {
            case "image": try comparison.check(map: name, clamped)
            case "image_crop": try comparison.check(map: name, crop(clamped))
            default:
                let images = try stage.decode(ImageLatent(values: latent))
                try comparison.check(name, images.flatMap { $0.pixels.map(Float.init) })
            }
        }
    }

    /// The part of the image that the case's notes name, such as `image[:, :, 96:144, 64:112]`.
    private func crop(_ image: Tensor) throws -> Tensor {
        let notes = try #require(test.fields["notes"]?.string)
        let found = try #require(notes.firstMatch(of: /image\[:, :, (\d+):(\d+), (\d+):(\d+)\]/))
        let (top, bottom) = (try #require(Int(found.1)), try #require(Int(found.2)))
        let (left, right) = (try #require(Int(found.3)), try #require(Int(found.4)))
        let width = image.shape[2]
        let all = image.elements
        return Tensor(
            (0..<image.shape[0]).flatMap { sample in
                (top..<bottom).flatMap { y in
                    let row = ((sample * image.shape[1] + y) * width) * 3
                    return all[row + 3 * left..<row + 3 * right]
                }
            }, [image.shape[0], bottom - top, right - left, 3])
    }
}
