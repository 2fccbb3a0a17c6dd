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
    @OptionGroup var training: TrainingArguments

    @Option(help: "Bottleneck blocks of the decoder, at most the teacher's.")
    var bottleneckBlocks = 1

    @Option(help: "The side of the crops that are learnt from, in pixels.")
    var crop = 128

    @Option(help: "A folder of PNGs. (default: drawn scenes)")
    var images: String?

    func validate() throws {
        let largest = images == nil ? SceneRenderer.side : 1024
        guard (16...largest).contains(crop), crop % 16 == 0 else {
            throw ValidationError("--crop must be a multiple of 16 from 16 to \(largest)")
        }
    }

    func run() async throws {
        let command = self
        try await interruptible { try command.train() }
    }

    private func train() throws {
        let stage = try teacher.cascade().diffusionDecoder().stageA()
        let deeper = stage.configuration
        guard (1...deeper.bottleneckBlocks).contains(bottleneckBlocks) else {
            throw ValidationError(
                "--bottleneck-blocks must be 1 to the teacher's \(deeper.bottleneckBlocks)")
        }
        var configuration = deeper
        configuration.bottleneckBlocks = bottleneckBlocks
        let own = try teacher.checkpoint.folder().appendingPathComponent(
            CheckpointLayout.published.stageA.path)
        let weights = try StudentFolder(teacher.checkpoint.stages.stageA ?? own)
            .parameters(over: own).values()
        let (images, validation) = try sources()
        var objective = DecoderObjective(
            configuration: configuration, teacher: stage, images: images)
        objective.validationImages = validation
        let trained = try training.train(
            objective,
            beginningWith: configuration.parameters(pruning: weights, of: deeper), "stage_a",
            teacher)
        let folder = URL(fileURLWithPath: training.output).appendingPathComponent("student")
        try StudentFolder(folder).write(trained.scope("stage_a"), configuration)
    }

    private func sources() throws -> (any ImageSource, (any ImageSource)?) {
        guard let images else {
            return (
                SceneImages(seed: teacher.seed &+ 1, crop: crop),
                SceneImages(seed: teacher.seed &+ 2, split: .heldOut, crop: crop)
            )
        }
        let folder = try ImageFolder(
            URL(fileURLWithPath: images),
            options: ImageFolderOptions(
                sizes: .crops(side: crop), crop: .random, mirrors: true,
                validationInterval: 20, seed: teacher.seed)
        ) { note("\($0)") }
        return (folder, folder.validation)
    }
}
