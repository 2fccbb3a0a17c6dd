import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen
import WuerstchenMiniature
import WuerstchenScenes
import WuerstchenTraining

struct TrainStageA: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stage-a", abstract: "Train the VQGAN on crops of images.")

    @OptionGroup var arguments: PartArguments<PartDefaults>

    @Option(help: "Its config.json. (default: the miniature's)")
    var configuration: String?

    @Option(help: "The side of the crops, in pixels.")
    var crop = 128

    @Option(
        help: """
            The weight of a discriminator that tells crops from their reconstructions, such as \
            0.05; 0 for none.
            """)
    var adversary: Float = 0

    func validate() throws {
        guard adversary >= 0, adversary.isFinite else {
            throw ValidationError("--adversary must be 0 or more")
        }
        try requireMultiple(of: 16, in: 16...256, crop, "--crop")
        guard arguments.side == nil else {
            throw ValidationError("--side is for the other parts: Stage A learns from --crop")
        }
    }

    func run() async throws {
        let (arguments, crop, configuration) = (arguments, crop, configuration)
        let adversary = adversary
        try await interruptible {
            var architecture = try read(configuration, MiniatureArchitecture.stageA)
            let sources = try arguments.sources(crop: crop)
            try sources.describe()
            var objective = StageAObjective(configuration: architecture, images: sources.images)
            if adversary > 0 { objective.auxiliary = [AdversarialLoss.patches(weight: adversary)] }
            objective.validationImages = sources.heldOut
            let parameters = try arguments.run(objective).scope("stage_a")
            // The deviation of the latents becomes the unit of Stage B's.
            let stage = try StageA(
                configuration: architecture, parameters: ParameterValues(parameters))
            architecture.latentScale = try stage.measuredLatentScale(
                sources.images.batch(0, count: 16).pixels)
            try arguments.export.write(parameters, architecture, to: \.stageA)
        }
    }
}

struct TrainCompressorAndB: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compressor-and-b",
        abstract: "Train the semantic compressor, with a preview decoder, and then Stage B on it.")

    @OptionGroup var arguments: PartArguments<PartDefaults>

    @Option(help: "A folder with Stage A: config.json and weights. (default: the miniature's)")
    var stageA: String?

    @Option(help: "A trained compressor, to train Stage B alone.")
    var compressor: String?

    @Option(
        help: """
            The compressor's network: residual, which is small, or efficientnet, as it was published. \
            (default: that of --compressor, or residual)
            """)
    var compressorNetwork: CompressorNetwork?

    @Flag(help: "Train the compressor together with Stage B, as was done for the published one.")
    var joint = false

    @Option(help: "Stage B's config.json. (default: the miniature's)")
    var configuration: String?

    @OptionGroup var diffusion: DiffusionArguments

    enum CompressorNetwork: String, ExpressibleByArgument, CaseIterable {
        case residual, efficientnet

        /// The network that parameters are of.
        init(of parameters: [String: Tensor]) {
            self = parameters["backbone.0.weight"] == nil ? .efficientnet : .residual
        }

        var architecture: SemanticCompressor.Architecture {
            self == .residual ? .residual : .efficientNet
        }
    }

    func validate() throws {
        guard compressor == nil || compressorNetwork == nil else {
            throw ValidationError(
                "--compressor-network is for a new compressor: that of --compressor has its own")
        }
    }

    func run() async throws {
        let command = self
        try await interruptible { try command.train() }
    }

    private func train() throws {
        let layout = CheckpointLayout.published
        let sources = try arguments.sources(readsCaptions: !diffusion.noCaptions)
        let vqgan =
            try stageA.map { URL(fileURLWithPath: $0) }
            ?? Miniature.folder().appendingPathComponent(layout.stageA.path)
        let stageA = try StageA(
            configuration: read(vqgan.appendingPathComponent(layout.configuration)),
            parameters: CheckpointParameters(directory: vqgan, stem: layout.stageA.stem),
            precision: arguments.compute.precision)
        let encoder = try TextParts(diffusion.text, pipeline: layout.decoder)
        let architecture = try read(configuration, MiniatureArchitecture.stageB)
        var objective = StageBObjective(
            diffusion.noise(architecture, .inverseSignal), captions: diffusion.captions(encoder),
            images: sources.images, stageA: stageA, compressor: nil)
        objective.validationImages = sources.heldOut
        // What does not fit should show now, not when the compressor has been trained.
        try objective.validate()
        let given = try compressor.map { try loadedCompressor(at: $0) }
        try sources.describe(captionsFor: diffusion.noCaptions ? nil : encoder.tokenizer)

        // For both of its trainings, and the checkpoint that they write to.
        let lock = try FolderLock(arguments.training.folder)
        defer { withExtendedLifetime(lock) {} }
        let compressorValues = try given ?? trainedCompressor(sources)
        objective.compressorArchitecture = CompressorNetwork(of: compressorValues).architecture
        var start = try encoder.parameters()
        if joint {
            start.merge(TrainableParameters(compressorValues, under: "compressor").values) { $1 }
        } else {
            objective.compressor = try SemanticCompressor(
                parameters: ParameterValues(compressorValues),
                precision: arguments.compute.precision,
                latentSpace: MiniatureArchitecture.latentSpace)
        }
        let trained = try arguments.run(
            objective, in: "stage-b", isLater: compressor == nil, start: start)
        try arguments.export.writeDecoderIndex(
            space: objective.noise.blueprint.latentSpace,
            schedule: objective.noise.blueprint.schedule)
        try arguments.export.copyTokenizer(encoder.tokenizerFolder, to: \.decoder)
        try arguments.export.write(
            trained.scope("text"), encoder.configuration, to: \.decoderTextEncoder)
        try arguments.export.write(
            trained.scope("stage_b"), architecture, to: \.stageB,
            textEncoders: [arguments.export.url(of: \.decoderTextEncoder)]
                + (diffusion.learnText ? [] : [encoder.folder]))
        if joint {
            try arguments.export.write(
                trained.scope("compressor"), toFile: CheckpointLayout.published.compressor)
        }
    }

    private func loadedCompressor(at path: String) throws -> [String: Tensor] {
        let parameters = try CheckpointParameters(contentsOf: URL(fileURLWithPath: path))
        _ = try SemanticCompressor(parameters: parameters.withoutValues)
        return try parameters.values()
    }

    private func trainedCompressor(_ sources: TrainingImages) throws -> [String: Tensor] {
        var objective = CompressorObjective(images: sources.images)
        objective.validationImages = sources.heldOut
        objective.architecture = (compressorNetwork ?? .residual).architecture
        if let scenes = sources.images as? SceneImages {
            objective.auxiliary = [
                CompressorHeads(
                    labels: scenes, validationLabels: sources.heldOut as? SceneImages)
            ]
        }
        let trained = try arguments.run(objective, in: "compressor")
        let values = trained.scope("compressor")
        try arguments.export.write(values, toFile: CheckpointLayout.published.compressor)
        try arguments.export.write(
            trained.scope("preview"), toFile: CheckpointLayout.published.previews[0])
        return values
    }
}

struct TrainStageC: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stage-c", abstract: "Train text to semantic latents.")

    @OptionGroup var arguments: PartArguments<PartDefaults>

    @Option(help: "The compressor whose latents are learnt. (default: the miniature's)")
    var compressor: String?

    @Option(help: "Stage C's config.json. (default: the miniature's)")
    var configuration: String?

    @OptionGroup var diffusion: DiffusionArguments

    func run() async throws {
        let command = self
        try await interruptible { try command.train() }
    }

    private func train() throws {
        let sources = try arguments.sources(readsCaptions: !diffusion.noCaptions)
        let compressor = try loadCompressor(compressor, arguments.compute.precision)
        let encoder = try TextParts(diffusion.text, pipeline: CheckpointLayout.published.prior)
        let architecture = try read(configuration, MiniatureArchitecture.stageC)
        var objective = StageCObjective(
            diffusion.noise(architecture, .clean), captions: diffusion.captions(encoder),
            semantics: CompressedImages(sources.images, compressor: compressor))
        objective.validationSemantics = sources.heldOut.map {
            CompressedImages($0, compressor: compressor)
        }
        try objective.validate()
        try sources.describe(captionsFor: diffusion.noCaptions ? nil : encoder.tokenizer)
        let trained = try arguments.run(objective, start: encoder.parameters())
        try arguments.export.writePriorIndex(
            space: objective.noise.blueprint.latentSpace, side: arguments.imageSide,
            schedule: objective.noise.blueprint.schedule)
        try arguments.export.copyTokenizer(encoder.tokenizerFolder, to: \.prior)
        try arguments.export.write(
            trained.scope("text"), encoder.configuration, to: \.priorTextEncoder)
        try arguments.export.write(
            trained.scope("stage_c"), architecture, to: \.stageC,
            textEncoders: [arguments.export.url(of: \.priorTextEncoder)]
                + (diffusion.learnText ? [] : [encoder.folder]))
    }
}

struct TrainPreview: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "preview", abstract: "Train a preview decoder for a compressor's latents.")

    @OptionGroup var arguments: PartArguments<PartDefaults>

    @Option(help: "The compressor whose latents are decoded. (default: the miniature's)")
    var compressor: String?

    func run() async throws {
        let command = self
        try await interruptible {
            let sources = try command.arguments.sources()
            try sources.describe()
            let compressor = try loadCompressor(
                command.compressor, command.arguments.compute.precision)
            let objective = PreviewObjective(images: sources.images, compressor: compressor)
            let trained = try command.arguments.run(objective)
            try command.arguments.export.write(
                trained.scope("preview"), toFile: CheckpointLayout.published.previews[0])
        }
    }
}
