import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen
import WuerstchenScenes
import WuerstchenTraining

/// Where the clean latents are from that a distillation adds noise to.
struct LatentArguments: ParsableArguments {
    @Option(
        help: """
            A folder of couplings whose latents are taken, in place of images: those of Stage B \
            are under latents of Stage C too.
            """)
    var couplings: String?

    @OptionGroup var folder: TrainingFolderArguments

    @Flag(help: "Use drawn scenes; the default for the small cascade only.")
    var scenes = false

    @Option(
        help: """
            The compressor, which makes semantic latents of images. (default: \
            compressor.safetensors in the checkpoint's folder)
            """)
    var compressor: String?

    func validate(_ checkpoint: CheckpointArguments) throws {
        guard couplings == nil || (folder.images == nil && !scenes && compressor == nil) else {
            throw ValidationError(
                "--couplings has latents already; leave out --images, --scenes and --compressor")
        }
        if couplings == nil {
            try checkpoint.requireData(images: folder.images, scenes: scenes)
        }
    }

    /// Latents to learn from, and others that are not learnt from.
    func latents<Stage: CascadeStage>(
        of type: Stage.Type, _ cascade: Cascade, _ teacher: TeacherArguments
    ) throws -> (latents: any LatentSource, heldOut: (any LatentSource)?) {
        if let couplings {
            let all = try Couplings(contentsOf: URL(fileURLWithPath: couplings))
            try all.requireStage(Stage.identifier)
            let parts = all.heldOutLast
            return (parts.training, parts.validation)
        }
        let seed = teacher.run.compute.seed
        let side = cascade.defaultSize.width
        let options = ImageFolderOptions(
            sizes: .buckets(AspectBuckets(side: side, maximumRatio: 1)), seed: seed)
        let sources =
            try folder.trainingImages(options)
            ?? TrainingImages(
                SceneImages(seed: seed &+ 1),
                heldOut: SceneImages(seed: seed &+ 2, split: .heldOut))
        try sources.describe(captionsFor: cascade.textEncoder().tokenizer)
        let compressor = try SemanticCompressor(
            contentsOf: compressor.map { URL(fileURLWithPath: $0) }
                ?? teacher.run.checkpoint.folder().appendingPathComponent(
                    CheckpointLayout.published.compressor), latentSpace: cascade.latentSpace)
        func latents(_ images: any ImageSource) throws -> any LatentSource {
            try Stage.latents(of: images, compressor: compressor, in: cascade)
        }
        return (try latents(sources.images), try sources.heldOut.map(latents))
    }
}
