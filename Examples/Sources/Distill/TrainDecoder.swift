import ArgumentParser
import ExampleSupport
import Foundation
import TensorCore
import Wuerstchen
import WuerstchenScenes
import WuerstchenTraining

struct TrainDecoder: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "decoder",
        abstract: "Train a Stage A whose decoder has fewer blocks.",
        discussion: """
            Its latents stay the checkpoint's. The folder `student` in the output then stands in for the \
            checkpoint's Stage A.
            """)

    @OptionGroup var teacher: RunArguments
    @OptionGroup var training: TrainingArguments<StudentDefaults>

    @Option(help: "Bottleneck blocks of the decoder, at most the teacher's.")
    var bottleneckBlocks = 1

    @Option(help: "The side of the crops that are learnt from, in pixels.")
    var crop = 128

    @OptionGroup var folder: TrainingFolderArguments

    @Flag(help: "Use drawn scenes; the default for the small cascade only.")
    var scenes = false

    func validate() throws {
        try training.options(teacher.compute).validate()
        try teacher.checkpoint.requireData(images: folder.images, scenes: scenes)
        let largest = folder.images == nil ? SceneRenderer.side : 1024
        try requireMultiple(of: 16, in: 16...largest, crop, "--crop")
    }

    func run() async throws {
        let command = self
        try await interruptible(by: .together) { try command.train() }
    }

    private func train() throws {
        let stage = try teacher.cascade().diffusionDecoder().stageA()
        let folders = DistillationFolders(
            base: try teacher.checkpoint.folder().appendingPathComponent(
                CheckpointLayout.published.stageA.path),
            teacher: teacher.checkpoint.stages.stageA)
        let sources = try sources()
        try sources.describe()
        var distillation = try DecoderDistillation(
            of: stage, in: folders, pruning: StagePruning(blocks: [bottleneckBlocks]),
            images: sources.images)
        distillation.objective.validationImages = sources.heldOut
        var progress = TrainingProgress()
        try distillation.run(
            training.options(teacher.compute), in: training.folder, resumes: training.resume,
            elementType: training.elementType, progress: &progress)
    }

    private func sources() throws -> TrainingImages {
        let seed = teacher.compute.seed
        let options = ImageFolderOptions(
            sizes: .crops(side: crop), crop: .random, mirrors: true, readsCaptions: false,
            seed: seed)
        return try folder.trainingImages(options)
            ?? TrainingImages(
                SceneImages(seed: seed &+ 1, crop: crop),
                heldOut: SceneImages(seed: seed &+ 2, split: .heldOut, crop: crop))
    }
}
