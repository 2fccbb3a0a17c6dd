public import TensorCore
public import Wuerstchen

/// Stage C: predicting the noise in semantic latents under their captions, with or without its text
/// encoder learning along.
public struct StageCObjective: ExtendableObjective {
    /// The part's name.
    public let name = "stage-c"
    /// How the stage learns.
    public var noise: NoisePrediction<StageC>
    /// How captions reach it.
    public var captions: CaptionEncoding
    /// Latents and captions.
    public var semantics: any SemanticSource
    /// Latents and captions that are not learnt from.
    @Incidental public var validationSemantics: (any SemanticSource)? = nil
    /// Shows what latents mean, for contact sheets.
    @Incidental public var preview: PreviewDecoder? = nil
    /// Losses beside the error of the noise.
    public var auxiliary: [any AuxiliaryLoss<Output>] = []

    /// An objective of the given parts.
    public init(
        _ noise: NoisePrediction<StageC>, captions: CaptionEncoding,
        semantics: any SemanticSource
    ) {
        self.noise = noise
        self.captions = captions
        self.semantics = semantics
    }

    /// What auxiliary losses are given.
    public struct Output: Sendable {
        /// Which batch of latents.
        public let batch: Int
        /// The captions as the stage saw them; empty where they were dropped.
        public let captions: [String]
        /// The noisy latents.
        public let noisy: NoisyLatents
        /// The noise that is predicted in them.
        public let predicted: Tensor

        /// The clean latents that the prediction implies, `[batch, rows, columns, channels]`.
        public var clean: Tensor { noisy.clean(predicted) }
    }

    /// Refuses a flow, a text encoder or latents of another width than the stage takes, and a
    /// tokenizer of another vocabulary.
    public func validate() throws {
        var misfits = Misfits()
        let configuration = noise.blueprint.configuration
        try misfits.collect { try noise.blueprint.requireNoisePrediction() }
        try misfits.collect { try captions.tokenizer.requireFit(captions.configuration) }
        try misfits.collect { try configuration.requireFit(captions.configuration) }
        let sources = [semantics, validationSemantics].compactMap(\.self)
        for channels in Set(sources.compactMap(\.latentChannels)) {
            try misfits.collect { try configuration.requireFit(semanticChannels: channels) }
        }
        if let preview { try misfits.collect { try preview.requireFit(configuration) } }
        try misfits.report()
    }

    /// The parameters of stage, text encoder and auxiliary losses.
    public func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try parameters.add(noise.blueprint, seed: seed)
        try parameters.addText(captions.configuration, seed: seed)
        try auxiliary.addInitialParameters(to: &parameters, seed: seed)
        return parameters
    }

    /// The text encoder only learns if it is asked to.
    public func isTrainable(_ name: String) -> Bool { captions.lets(name) }

    /// The loss of a batch.
    public func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        var random = step.random
        let batch = try semantics.semantics(step.batch, count: step.batchSize)
        let seen = captions.dropping(batch.captions, &random)
        let text = try captions(seen, parameters, precision: step.precision)
        let stage = try noise.stage(parameters, precision: step.precision)
        let outcome = try noise(
            stage, batch.latents, conditioning: stage.prepare(text: text), random: &random)
        var loss = TrainingLoss(outcome.loss)
        let output = Output(
            batch: step.batch, captions: seen, noisy: outcome.noisy, predicted: outcome.predicted)
        try auxiliary.add(to: &loss, output, parameters, step)
        return loss
    }

    /// With the stage's activations computed anew.
    public func checkpointingActivations() -> StageCObjective? {
        noise.checkpointsActivations ? nil : replacing(\.noise.checkpointsActivations, by: true)
    }

    /// The same over latents that are not learnt from.
    public var validation: StageCObjective? {
        replacing(\.semantics, by: validationSemantics) {
            $0.auxiliary = auxiliary.validation()
        }
    }

    /// What captions do at strong noise; see ``captionErrors(_:batch:count:times:precision:)``, and
    /// what auxiliary losses measure where there is next to nothing but noise to see.
    public func measurements(_ parameters: [String: Tensor]) throws -> [String: Float] {
        let looked = validation ?? self
        let errors = try looked.captionErrors(parameters, batch: 0, count: 64, times: [0.85])
        var result = [
            "error, right caption": errors[0].right, "error, no caption": errors[0].empty,
            "error, wrong caption": errors[0].wrong,
        ]
        if !looked.auxiliary.isEmpty {
            let output = try looked.output(parameters, batch: 1, count: 256, time: 0.96)
            for auxiliary in looked.auxiliary {
                result.merge(try auxiliary.measurements(output)) { $1 }
            }
        }
        return result
    }

    /// What the preview decoder shows of latents made from captions in twenty steps.
    public func contactSheet(_ parameters: [String: Tensor]) throws -> ContactSheet? {
        guard let preview else { return nil }
        let batch = try (validationSemantics ?? semantics).semantics(0, count: 16)
        let (latents, prompts) = (batch.latents, batch.captions)
        let (stage, encode) = try networks(parameters, .bfloat16)
        let text = TextEmbedding<StageC>(
            prompts: try encode(prompts), negatives: try encode(prompts.map { _ in "" }))
        var sampler = try stage.sampler(
            text, grid: SemanticGrid(rows: latents.shape[1], columns: latents.shape[2]),
            noise: SeededNoise(seeds: (0..<16).map { UInt64($0) }),
            options: SamplingOptions(timesteps: Timesteps(count: 20), guidance: 4))
        while try sampler.next() != nil {}
        var sheet = ContactSheet(title: "Stage C, previewed", imageSide: 160)
        let images = try preview.pixels(of: sampler.latent)
        for first in [0, 8] {
            try sheet.addRow(
                "", images[first..<first + 8], captions: Array(prompts[first..<first + 8]))
        }
        return sheet
    }

    /// What the network makes of captions: the mean squared error of the clean latent it sees in
    /// noisy ones, with the right captions, with none, and with those of other images. The larger
    /// the differences, the more it has learnt from language.
    ///
    /// - Parameters:
    ///   - parameters: Parameters to look at.
    ///   - number: Which batch.
    ///   - count: How many latents.
    ///   - times: The noise levels.
    ///   - precision: The numbers that networks multiply.
    /// - Returns: For each time the three errors.
    /// - Throws: What data and networks throw.
    public func captionErrors(
        _ parameters: [String: Tensor], batch number: Int, count: Int,
        times: [Float] = [0.6, 0.75, 0.85, 0.93], precision: Precision = .bfloat16
    ) throws -> [(time: Float, right: Float, empty: Float, wrong: Float)] {
        let batch = try semantics.semantics(number, count: count)
        let right = batch.captions
        let variants = [
            right, right.map { _ in "" }, Array(right.dropFirst()) + right.prefix(1),
        ]
        let (stage, encode) = try networks(parameters, precision)
        let texts = try variants.map { try stage.prepare(text: encode($0)) }
        return try times.map { time in
            let errors = try texts.map { text in
                let (noisy, predicted) = try prediction(
                    stage, batch.latents, text, time: time, noise: number)
                return noisy.loss(predicted, .cleanError).elements[0]
            }
            return (time, errors[0], errors[1], errors[2])
        }
    }

    /// Stage C and its text encoder, of parameters to look at.
    private func networks(
        _ parameters: [String: Tensor], _ precision: Precision
    ) throws -> (stage: StageC, encode: ([String]) throws -> Tensor) {
        let fixed = StepParameters(fixed: parameters)
        return (
            try noise.stage(fixed, precision: precision),
            { try captions($0, fixed, precision: precision) }
        )
    }

    /// Latents under always the same noise, and the noise that is predicted in them.
    private func prediction(
        _ stage: StageC, _ latents: Tensor, _ text: StageC.Conditioning, time: Float,
        noise number: Int
    ) throws -> (noisy: NoisyLatents, predicted: Tensor) {
        var random = RandomStream(UInt64(number), 77)
        let noisy = NoisyLatents(
            latents, times: [Float](repeating: time, count: latents.shape[0]),
            schedule: noise.blueprint.schedule, random: &random)
        return (
            noisy,
            try stage.predictNoise(noisy.latents, times: noisy.times, conditioning: text)
        )
    }

    /// What the network makes of a batch with its captions at one noise level, under always the
    /// same noise.
    ///
    /// - Parameters:
    ///   - parameters: Parameters to look at.
    ///   - number: Which batch.
    ///   - count: How many latents.
    ///   - time: The noise level.
    /// - Returns: What auxiliary losses are given.
    /// - Throws: What data and networks throw.
    public func output(
        _ parameters: [String: Tensor], batch number: Int, count: Int, time: Float
    ) throws -> Output {
        let batch = try semantics.semantics(number, count: count)
        let (stage, encode) = try networks(parameters, .bfloat16)
        let (noisy, predicted) = try prediction(
            stage, batch.latents, stage.prepare(text: encode(batch.captions)), time: time,
            noise: number)
        return Output(
            batch: number, captions: batch.captions, noisy: noisy, predicted: predicted)
    }
}
