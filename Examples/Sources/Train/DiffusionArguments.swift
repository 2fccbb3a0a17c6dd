public import ArgumentParser
import ExampleSupport
import Foundation
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

    @Flag(
        help: """
            Train the text encoder too. Words of a folder's captions that its tokenizer does not have \
            and that are in two captions at least get tokens of their own.
            """)
    var learnText = false

    @Flag(help: "Train without text: the captions of a folder are not read.")
    var noCaptions = false

    @OptionGroup var denoising: DenoisingArguments

    /// How a stage learns.
    func noise<Stage: TrainableStage>(
        _ blueprint: StageBlueprint<Stage>, _ standard: NoiseWeighting
    ) -> NoisePrediction<Stage> {
        var noise = NoisePrediction(blueprint, weighting: denoising.weighting ?? standard)
        noise.checkpointsActivations = denoising.recompute
        return noise
    }

    /// The text encoder to begin with: if it learns along, with the new words of the captions.
    ///
    /// - Parameters:
    ///   - path: The folder of its pipeline; nil for the miniature's.
    ///   - pipeline: The pipeline's name in the miniature.
    ///   - images: The captioned images.
    ///   - arguments: What is trained, in a folder.
    ///   - part: The part of that folder that holds the training's state; nil for itself.
    /// - Returns: The text encoder.
    /// - Throws: What reading and writing files throws.
    func starting<Defaults: TrainingDefaults>(
        _ path: String?, _ pipeline: String, _ images: TrainingImages,
        for arguments: PartArguments<Defaults>, in part: String? = nil
    ) throws -> StartingText {
        var text = try StartingText(path, pipeline: pipeline)
        guard learnText, !noCaptions else { return text }
        var folder = arguments.training.folder
        if let part { folder.appendPathComponent(part) }
        let state = folder.appendingPathComponent("state.safetensors")
        try text.learn(
            images, in: folder, isBegun: FileManager.default.fileExists(atPath: state.path))
        return text
    }

    func captions(_ text: StartingText) -> CaptionEncoding {
        CaptionEncoding(
            text.configuration, tokenizer: text.tokenizer, trainsEncoder: learnText)
    }
}

extension NoiseWeighting: @retroactive ExpressibleByArgument {}
