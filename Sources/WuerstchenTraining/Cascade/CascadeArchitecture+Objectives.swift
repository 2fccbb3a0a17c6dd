public import Wuerstchen

extension CascadeArchitecture {
    /// How Stage B of a small cascade learns: its text encoder stays as it is.
    ///
    /// - Parameters:
    ///   - tokenizer: Splits captions into tokens.
    ///   - images: Images and captions.
    ///   - stageA: Stage A, with the unit of its latents.
    ///   - compressor: The compressor.
    /// - Returns: The objective.
    public func stageBObjective(
        tokenizer: CLIPTokenizer, images: any ImageSource, stageA: StageA,
        compressor: SemanticCompressor
    ) -> StageBObjective {
        StageBObjective(
            NoisePrediction(
                StageBlueprint(configuration: stageB, latentSpace: Self.latentSpace),
                weighting: .inverseSignal),
            captions: CaptionEncoding(
                decoderText ?? text, tokenizer: tokenizer, trainsEncoder: false),
            images: images, stageA: stageA, compressor: compressor)
    }

    /// How Stage C of a small cascade learns: its text encoder learns along, and half of the steps
    /// are about strong noise, where only the caption says what to draw.
    ///
    /// - Parameters:
    ///   - tokenizer: Splits captions into tokens.
    ///   - semantics: Latents and captions.
    /// - Returns: The objective.
    public func stageCObjective(
        tokenizer: CLIPTokenizer, semantics: any SemanticSource
    ) -> StageCObjective {
        var objective = StageCObjective(
            NoisePrediction(
                StageBlueprint(configuration: stageC, latentSpace: Self.latentSpace),
                weighting: .clean),
            captions: CaptionEncoding(text, tokenizer: tokenizer, trainsEncoder: true),
            semantics: semantics)
        objective.noise.times = TimeDistribution(highNoiseShare: 0.5)
        return objective
    }
}
