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

    @OptionGroup var start: StartArguments

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
        try requireWeight(adversary, "--adversary")
        try start.requireData(images: arguments.folder.images)
        try requireMultiple(of: 16, in: 16...256, crop, "--crop")
        guard arguments.side == nil else {
            throw ValidationError("--side is for the other parts: Stage A learns from --crop")
        }
    }

    func run() async throws {
        let (arguments, crop, configuration) = (arguments, crop, configuration)
        let (adversary, start) = (adversary, start)
        try await interruptible(by: .together) {
            let architecture = try start.configuration(
                configuration, \.stageA, MiniatureArchitecture.stageA)
            let sources = try arguments.sources(crop: crop)
            try sources.describe()
            var objective = StageAObjective(
                configuration: architecture,
                images: try start.mixed(sources.images, for: arguments, crop: crop))
            // The codebook of a checkpoint is there.
            if start.url != nil { objective.unquantizedShare = 0 }
            if adversary > 0 { objective.auxiliary = [AdversarialLoss.patches(weight: adversary)] }
            objective.validationImages = sources.heldOut
            let begun = try start.parameters(\.stageA, under: "stage_a")
            try arguments.run(objective, start: begun) { trained in
                let parameters = trained.scope("stage_a")
                // The deviation of the latents becomes the unit of Stage B's.
                let stage = try StageA(
                    configuration: architecture, parameters: ParameterValues(parameters))
                var scaled = architecture
                scaled.latentScale = try stage.measuredLatentScale(
                    sources.images.batch(0, count: 16).pixels)
                try arguments.export.write(parameters, scaled, to: \.stageA)
            }
        }
    }
}

struct TrainCompressorAndB: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compressor-and-b",
        abstract: "Train the semantic compressor, with a preview decoder, and then Stage B on it.")

    @OptionGroup var arguments: PartArguments<PartDefaults>

    @OptionGroup var start: StartArguments

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

    @Option(
        help: """
            The weight of a discriminator that tells what Stages B and A make of noisy latents from \
            what A makes of true ones, such as 0.05 for a Stage B that is trained; 0 for none.
            """)
    var adversary: Float = 0

    @OptionGroup var diffusion: DiffusionArguments

    enum CompressorNetwork: String, ExpressibleByArgument, CaseIterable {
        case residual, efficientnet

        var architecture: SemanticCompressor.Architecture {
            self == .residual ? .residual : .efficientNet
        }
    }

    /// A compressor that is trained already.
    private var compressorFile: String? {
        start.path(compressor, or: CheckpointLayout.published.compressor)
    }

    func validate() throws {
        try start.requireData(images: arguments.folder.images)
        try requireWeight(adversary, "--adversary")
        guard compressorFile == nil || compressorNetwork == nil else {
            throw ValidationError(
                "--compressor-network is for a new compressor: that of --compressor or --start has its own"
            )
        }
    }

    func run() async throws {
        let command = self
        try await interruptible(by: .together) { try command.train() }
    }

    private func train() throws {
        let layout = CheckpointLayout.published
        let sources = try arguments.sources(readsCaptions: !diffusion.noCaptions)
        let vqgan =
            try start.path(stageA, or: layout.stageA.path).map { URL(fileURLWithPath: $0) }
            ?? Miniature.folder().appendingPathComponent(layout.stageA.path)
        let stageA = try StageA(
            configuration: decodeJSON(
                StageA.Configuration.self,
                from: vqgan.appendingPathComponent(layout.configuration)),
            parameters: CheckpointParameters(directory: vqgan, stem: layout.stageA.stem),
            precision: arguments.compute.precision)
        let text = try diffusion.starting(
            start.path(diffusion.text, or: layout.decoder), layout.decoder, sources,
            for: arguments, in: "stage-b")
        let blueprint: StageBlueprint<StageB> = try start.blueprint(
            configuration, MiniatureArchitecture.stageB)
        var objective = StageBObjective(
            diffusion.noise(blueprint, .inverseSignal),
            captions: diffusion.captions(text),
            images: try start.mixed(sources.images, for: arguments), stageA: stageA, compressor: nil
        )
        objective.validationImages = sources.heldOut
        if adversary > 0 {
            objective.auxiliary = [AdversarialLoss.patchesOfStageB(weight: adversary)]
        }
        // What does not fit should show now, not when the compressor has been trained.
        try objective.validate()
        let given = try compressorFile.map { try loadedCompressor(at: $0) }
        try sources.describe(
            captionsFor: diffusion.noCaptions ? nil : text.tokenizer, isTextOptional: true)

        // For both of its trainings, and the checkpoint that they write to.
        let lock = try arguments.lock()
        defer { withExtendedLifetime(lock) {} }
        let compressorValues = try given ?? trainedCompressor(sources)
        objective.compressorArchitecture = .init(of: ParameterValues(compressorValues))
        var begun = try TrainableParameters(text.parameters(), under: "text").values
            .merging(start.parameters(\.stageB, under: StageB.scope)) { $1 }
        if joint {
            begun.merge(TrainableParameters(compressorValues, under: "compressor").values) { $1 }
        } else {
            objective.compressor = try SemanticCompressor(
                parameters: ParameterValues(compressorValues),
                precision: arguments.compute.precision, latentSpace: blueprint.latentSpace)
        }
        let (arguments, learnsText, joint) = (arguments, diffusion.learnText, joint)
        try arguments.run(
            objective, in: "stage-b", isLater: compressorFile == nil, start: begun
        ) { trained in
            let export = arguments.export
            try export.writeDecoderIndex(
                space: blueprint.latentSpace, schedule: blueprint.schedule)
            try export.copyTokenizer(text.tokenizerFolder, to: \.decoder)
            try export.write(
                trained.scope("text"), text.configuration, to: \.decoderTextEncoder)
            try export.write(
                trained.scope("stage_b"), blueprint.configuration, to: \.stageB,
                textEncoders: [export.url(of: \.decoderTextEncoder)]
                    + (learnsText ? [] : [text.folder]))
            if joint || given != nil {
                try export.write(
                    joint ? trained.scope("compressor") : compressorValues,
                    toFile: CheckpointLayout.published.compressor)
            }
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
        let export = arguments.export
        return try arguments.run(objective, in: "compressor") { trained in
            try export.write(
                trained.scope("compressor"), toFile: CheckpointLayout.published.compressor)
            try export.write(
                trained.scope("preview"), toFile: CheckpointLayout.published.previews[0])
        }.scope("compressor")
    }
}

struct TrainStageC: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stage-c", abstract: "Train text to semantic latents.")

    @OptionGroup var arguments: PartArguments<PartDefaults>

    @OptionGroup var start: StartArguments

    @Option(help: "The compressor whose latents are learnt. (default: the miniature's)")
    var compressor: String?

    @Option(help: "Stage C's config.json. (default: the miniature's)")
    var configuration: String?

    @Flag(
        help: """
            Compress every image of a folder once, in its middle, and keep the latents in the \
            training's folder: many times faster than reading images at every step.
            """)
    var cache = false

    @OptionGroup var diffusion: DiffusionArguments

    func validate() throws {
        try start.requireData(images: arguments.folder.images)
        guard !cache || start.keep.keep == 0 else {
            throw ValidationError("--cache keeps the latents of one folder; leave out --keep")
        }
    }

    func run() async throws {
        let command = self
        try await interruptible(by: .together) { try command.train() }
    }

    private func train() throws {
        let sources = try arguments.sources(readsCaptions: !diffusion.noCaptions)
        let preview = try previewDecoder()
        let layout = CheckpointLayout.published
        let blueprint: StageBlueprint<StageC> = try start.blueprint(
            configuration, MiniatureArchitecture.stageC)
        let compressor = try loadCompressor(
            compressorFile, arguments.compute.precision, blueprint.latentSpace)
        let text = try diffusion.starting(
            start.path(diffusion.text, or: layout.prior), layout.prior, sources, for: arguments)
        var objective = StageCObjective(
            diffusion.noise(blueprint, .clean), captions: diffusion.captions(text),
            semantics: CompressedImages(
                try start.mixed(sources.images, for: arguments), compressor: compressor))
        objective.validationSemantics = sources.heldOut.map {
            CompressedImages($0, compressor: compressor)
        }
        objective.preview = preview
        try objective.validate()
        try sources.describe(
            captionsFor: diffusion.noCaptions ? nil : text.tokenizer, isTextOptional: true)
        if cache {
            try ProcessGroup.firstThenOthers {
                objective.semantics = try cached(sources.images, "latents", compressor)
                objective.validationSemantics = try sources.heldOut.map {
                    try cached($0, "latents-held-out", compressor)
                }
            }
        }
        let (arguments, learnsText) = (arguments, diffusion.learnText)
        let begun = try TrainableParameters(text.parameters(), under: "text").values
            .merging(start.parameters(\.stageC, under: StageC.scope)) { $1 }
        try arguments.run(objective, start: begun) { trained in
            let export = arguments.export
            try export.writePriorIndex(
                space: blueprint.latentSpace, side: arguments.imageSide,
                schedule: blueprint.schedule)
            try export.copyTokenizer(text.tokenizerFolder, to: \.prior)
            try export.write(
                trained.scope("text"), text.configuration, to: \.priorTextEncoder)
            try export.write(
                trained.scope("stage_c"), blueprint.configuration, to: \.stageC,
                textEncoders: [export.url(of: \.priorTextEncoder)]
                    + (learnsText ? [] : [text.folder]))
        }
    }

    private var compressorFile: String? {
        start.path(compressor, or: CheckpointLayout.published.compressor)
    }

    /// What draws the samples: the decoder beside the compressor, if there is one.
    private func previewDecoder() throws -> PreviewDecoder? {
        let folder =
            try compressorFile.map { URL(fileURLWithPath: $0).deletingLastPathComponent() }
            ?? Miniature.folder()
        return try CheckpointLayout.published.previewFile(in: folder).map {
            try PreviewDecoder(contentsOf: $0)
        }
    }

    private func cached(
        _ images: any ImageSource, _ name: String, _ compressor: SemanticCompressor
    ) throws -> any SemanticSource {
        guard let folder = images as? ImageFolder else {
            throw ValidationError("--cache is for --images")
        }
        let status = StatusLine()
        try FileManager.default.createDirectory(
            at: arguments.training.folder, withIntermediateDirectories: true)
        let file = arguments.training.folder.appendingPathComponent("\(name).safetensors")
        return try CompressedFolder(folder, compressor: compressor, file: file) {
            status.show("\($0) of \(folder.imageCount) latents")
        }
    }
}

struct TrainPreview: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "preview", abstract: "Train a preview decoder for a compressor's latents.")

    @OptionGroup var arguments: PartArguments<PartDefaults>

    @OptionGroup var start: StartArguments

    @Option(help: "The compressor whose latents are decoded. (default: the miniature's)")
    var compressor: String?

    func validate() throws { try start.requireData(images: arguments.folder.images) }

    func run() async throws {
        let command = self
        try await interruptible(by: .together) {
            let (arguments, start) = (command.arguments, command.start)
            let sources = try arguments.sources()
            try sources.describe()
            let compressor = try loadCompressor(
                start.path(command.compressor, or: CheckpointLayout.published.compressor),
                arguments.compute.precision, start.latentSpace())
            var objective = PreviewObjective(
                images: try start.mixed(sources.images, for: arguments), compressor: compressor)
            objective.validationImages = sources.heldOut
            try arguments.run(objective, start: start.previewParameters()) { trained in
                try arguments.export.write(
                    trained.scope("preview"), toFile: CheckpointLayout.published.previews[0])
            }
        }
    }
}
