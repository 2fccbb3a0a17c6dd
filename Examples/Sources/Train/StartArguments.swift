import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen
import WuerstchenScenes
import WuerstchenTraining

/// What a part is fine-tuned from.
struct StartArguments: ParsableArguments {
    @Option(
        help: """
            A checkpoint to fine-tune: training begins with its weights, and its configuration, text \
            encoder and compressor are the defaults. Choose a low --rate, such as 1e-4.
            """)
    var start: String?

    @Flag(help: "Fine-tune the checkpoint on drawn scenes, in place of --images.")
    var scenes = false

    @OptionGroup var keep: KeepArguments

    func validate() throws {
        guard keep.keep == 0 || start != nil || keep.keepImages != nil else {
            throw ValidationError(
                "--keep is for --start or with --keep-images: there is nothing else to keep")
        }
        if let url { try keep.knowledge(of: url)?.validate(for: url) }
    }

    /// Refuses to draw scenes for a checkpoint if nobody asked for them.
    func requireData(images: String?) throws {
        try ExampleSupport.requireData(for: start, images: images, scenes: scenes)
    }

    /// The checkpoint's folder; nil to begin from nothing.
    var url: URL? { start.map { URL(fileURLWithPath: $0) } }

    /// How the checkpoint's semantic latents relate to images; the miniature's where there is none.
    func latentSpace() throws -> SemanticLatentSpace {
        try url.map { try Cascade(contentsOf: $0, memory: .sequential).latentSpace }
            ?? MiniatureArchitecture.latentSpace
    }

    /// All about a stage but its weights: the checkpoint's, so that it goes on with the latents and
    /// the noise that it knows, or the miniature's where there is none.
    ///
    /// - Parameters:
    ///   - path: A configuration file for another architecture.
    ///   - standard: The architecture where there is neither a file nor a checkpoint.
    /// - Returns: The blueprint.
    /// - Throws: What opening the checkpoint and reading the file throws.
    func blueprint<Stage: CascadeStage>(
        _ path: String?, _ standard: Stage.Configuration
    ) throws -> StageBlueprint<Stage> {
        var blueprint =
            try url.map {
                try Stage.part(in: Cascade(contentsOf: $0, memory: .sequential)).blueprint()
            }
            ?? StageBlueprint(
                configuration: standard, latentSpace: MiniatureArchitecture.latentSpace)
        blueprint.configuration = try loaded(path, blueprint.configuration)
        return blueprint
    }

    /// A configuration file, or the checkpoint's, or what takes its place.
    func configuration<Value: Decodable>(
        _ path: String?, _ network: KeyPath<CheckpointLayout, CheckpointLayout.Network>,
        _ standard: Value
    ) throws -> Value {
        let layout = CheckpointLayout.published
        let own = url?.appendingPathComponent(
            "\(layout[keyPath: network].path)/\(layout.configuration)")
        return try loaded(path ?? own?.path, standard)
    }

    /// The checkpoint's weights of a network under a scope; none where there is no checkpoint.
    func parameters(
        _ network: KeyPath<CheckpointLayout, CheckpointLayout.Network>, under scope: String
    ) throws -> [String: Tensor] {
        guard let url else { return [:] }
        let network = CheckpointLayout.published[keyPath: network]
        let stored = try CheckpointParameters(
            directory: url.appendingPathComponent(network.path), stem: network.stem)
        return TrainableParameters(try stored.values(), under: scope).values
    }

    /// The checkpoint's weights of the preview decoder; none where there is no checkpoint or it has
    /// none.
    func previewParameters() throws -> [String: Tensor] {
        guard let url, let file = CheckpointLayout.published.previewFile(in: url) else {
            return [:]
        }
        return TrainableParameters(
            try CheckpointParameters(contentsOf: file).values(), under: "preview"
        ).values
    }

    /// New images with those that are to be kept in mind among them.
    func mixed<Defaults: TrainingDefaults>(
        _ images: any ImageSource, for part: PartArguments<Defaults>, crop: Int? = nil
    ) throws -> any ImageSource {
        try keep.mixed(
            images, of: url, in: part.training.folder, side: part.imageSide, crop: crop,
            seed: part.compute.seed)
    }

    /// A file or folder of the checkpoint, unless another is named; nil where there is neither.
    func path(_ named: String?, or name: String) -> String? {
        named ?? url?.appendingPathComponent(name).path
    }
}
