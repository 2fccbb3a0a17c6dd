import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen
import WuerstchenTraining

struct TrainLoRA: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lora",
        abstract: "Teach a checkpoint something new from a few captioned images.",
        discussion: """
            Low-rank adapters learn beside the stages, which stay as they are. The file \
            lora.safetensors in the output holds them, and text-to-image takes it with --lora. Each \
            stage is trained in a folder of its own in the output.
            """)

    @OptionGroup var arguments: PartArguments<LoRADefaults>

    @OptionGroup var checkpoint: CheckpointArguments

    @Option(
        help: """
            What learns: stage-c for what images show, stage-b for how it is painted, or both, one \
            after the other.
            """)
    var stage = AdaptedStages.stageC

    @Option(help: "The rank: rows of A and columns of B.")
    var rank = 8

    @Option(help: "How much of the adapter counts, times the rank. (default: the rank)")
    var alpha: Float?

    @Option(
        help: """
            The layers: all between the first and the last, attention, or the names that match one of \
            some patterns such as "blocks.*.attention.*,*.kv_mapper.*".
            """)
    var layers = "all"

    @Flag(
        help: """
            Adapt the text encoder of Stage C too, for words that it does not know. They stay spelt in \
            pieces: a LoRA has no place for tokens.
            """)
    var learnText = false

    @Option(
        help: """
            The compressor whose latents are learnt. (default: compressor.safetensors in the \
            checkpoint's folder)
            """)
    var compressor: String?

    @OptionGroup var keep: KeepArguments

    @OptionGroup var denoising: DenoisingArguments

    enum AdaptedStages: String, ExpressibleByArgument, CaseIterable {
        case stageC = "stage-c"
        case stageB = "stage-b"
        case both
    }

    func validate() throws {
        guard arguments.folder.images != nil else {
            throw ValidationError("name the captioned images to learn with --images")
        }
        guard !learnText || stage != .stageB else {
            throw ValidationError("--learn-text is for Stage C: its text encoder learns with it")
        }
        try configuration.validate()
        guard let named = checkpoint.checkpoint.map({ URL(fileURLWithPath: $0) }) else { return }
        try keep.knowledge(of: named)?.validate(for: named)
    }

    private var configuration: LoRAConfiguration {
        LoRAConfiguration(rank: rank, alpha: alpha, layers: LoRALayers(named: layers))
    }

    func run() async throws {
        let command = self
        try await interruptible(by: .together) { try command.train() }
    }

    private func train() throws {
        let folder = try checkpoint.folder()
        var training = try LoRATraining(for: folder, replacing: checkpoint.stages)
        training.configuration = configuration
        training.adaptsText = learnText
        training.weighting = denoising.weighting
        training.checkpointsActivations = denoising.recompute
        let side = arguments.side ?? training.cascade.defaultSize.width
        let sources = try arguments.sources(side: side, readsCaptions: true)
        let file =
            compressor.map { URL(fileURLWithPath: $0) }
            ?? folder.appendingPathComponent(CheckpointLayout.published.compressor)
        let compressor = try SemanticCompressor(
            parameters: CheckpointParameters(contentsOf: file),
            precision: arguments.compute.precision, latentSpace: training.cascade.latentSpace)
        try sources.describe(captionsFor: training.cascade.textEncoder().tokenizer)
        let images = try keep.mixed(
            sources.images, of: folder, isMiniature: checkpoint.checkpoint == nil,
            in: arguments.training.folder, side: side, seed: arguments.compute.seed)

        // For the trainings of both stages, and the file that they write to.
        let lock = try arguments.lock()
        defer { withExtendedLifetime(lock) {} }
        var trained: [[String: Tensor]] = []
        if stage != .stageB {
            var objective = try training.stageC(
                CompressedImages(images, compressor: compressor))
            objective.base.validationSemantics = sources.heldOut.map {
                CompressedImages($0, compressor: compressor)
            }
            trained.append(try arguments.run(objective, in: "stage-c").values)
        }
        if stage != .stageC {
            var objective = try training.stageB(images, compressor: compressor)
            objective.base.validationImages = sources.heldOut
            trained.append(
                try arguments.run(objective, in: "stage-b", isLater: stage == .both).values)
        }
        let output = arguments.training.folder.appendingPathComponent(CascadeLoRA.fileName)
        try ProcessGroup.inFirst {
            try training.lora(of: trained).write(
                to: output, elementType: arguments.training.elementType)
        }
        StatusLine().note(output.path)
    }
}

/// How adapters are trained where nothing else is wanted.
enum LoRADefaults: TrainingDefaults {
    static let (steps, batch) = (1000, 8)
    static let (rate, decay, average): (Float, Float, Float) = (1e-3, 0, 0.99)
}

extension LoRALayers {
    /// The layers of a name, or of patterns with commas between them.
    fileprivate init(named name: String) {
        switch name {
        case "all": self = .all
        case "attention": self = .attention
        default:
            self.init(
                name.split(separator: ",").map(String.init),
                roles: [.weight, .inputWeight, .outputWeight])
        }
    }
}
