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

    @Option(
        help: """
            For fine-tuning, the share of steps on images of what was learnt before, such as 0.5, so \
            that it is not forgotten: those of --keep-images, or drawn scenes.
            """)
    var keep = 0.0

    @Option(help: "A folder of captioned images that --keep takes. (default: drawn scenes)")
    var keepImages: String?

    func validate() throws {
        guard (0..<1).contains(keep) else {
            throw ValidationError("--keep must be at least 0 and below 1")
        }
        guard keepImages == nil || keep > 0 else {
            throw ValidationError("--keep-images is for --keep")
        }
    }

    /// New images with those that are to be kept in mind among them.
    func mixed(
        _ images: any ImageSource, _ arguments: PartArguments<PartDefaults>
    ) throws -> any ImageSource {
        guard keep > 0 else { return images }
        let seed = arguments.compute.seed
        guard let keepImages else {
            return MixedImages(images, keeping: SceneImages(seed: seed), share: keep)
        }
        let folder = try ImageFolder(
            URL(fileURLWithPath: keepImages),
            options: ImageFolderOptions(
                sizes: .buckets(AspectBuckets(side: arguments.imageSide)), crop: .random,
                seed: seed), report: StatusLine().note)
        return MixedImages(images, keeping: folder, share: keep)
    }

    /// The checkpoint's folder; nil to begin from nothing.
    var url: URL? { start.map { URL(fileURLWithPath: $0) } }

    /// How the checkpoint's semantic latents relate to images; the miniature's where there is none.
    func latentSpace() throws -> SemanticLatentSpace {
        try url.map { try Cascade(contentsOf: $0, memory: .sequential).latentSpace }
            ?? MiniatureArchitecture.latentSpace
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

    /// A file or folder of the checkpoint, unless another is named; nil where there is neither.
    func path(_ named: String?, or name: String) -> String? {
        named ?? url?.appendingPathComponent(name).path
    }
}
