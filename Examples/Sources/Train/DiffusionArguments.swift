public import ArgumentParser
import Wuerstchen
import WuerstchenScenes
public import WuerstchenTraining

/// How a diffusion stage learns to predict noise.
struct DenoisingArguments: ParsableArguments {
    @Flag(
        help: """
            Compute activations anew for gradients instead of keeping them: less memory, a third more \
            time.
            """)
    var recompute = false

    @Option(
        help: """
            How errors at different noise levels count: p2 (as published), clean (the default for \
            Stage C), inverseSignal (the default for Stage B), or cleanError (the mean squared error \
            of the clean latent).
            """)
    var weighting: NoiseWeighting?
}

/// What the diffusion stages are trained with besides.
struct DiffusionArguments: ParsableArguments {
    @Option(help: "A pipeline's folder with text_encoder and tokenizer. (default: the miniature's)")
    var text: String?

    @Flag(help: "Train the text encoder too.")
    var learnText = false

    @Flag(help: "Train without text: the captions of a folder are not read.")
    var noCaptions = false

    @OptionGroup var denoising: DenoisingArguments

    /// How a stage learns.
    func noise<Stage: TrainableStage>(
        _ configuration: Stage.Configuration, _ space: SemanticLatentSpace,
        _ standard: NoiseWeighting
    ) -> NoisePrediction<Stage> {
        var noise = NoisePrediction(
            StageBlueprint<Stage>(
                configuration: configuration, latentSpace: space),
            weighting: denoising.weighting ?? standard)
        noise.checkpointsActivations = denoising.recompute
        return noise
    }

    func captions(_ text: TextParts) -> CaptionEncoding {
        CaptionEncoding(
            text.configuration, tokenizer: text.tokenizer, trainsEncoder: learnText)
    }
}

extension NoiseWeighting: @retroactive ExpressibleByArgument {}
