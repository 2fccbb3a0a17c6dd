import ArgumentParser
import ExampleSupport
import Foundation
import WuerstchenScenes
import WuerstchenTraining

/// What is kept in mind while something new is learnt.
struct KeepArguments: ParsableArguments {
    @Option(
        help: """
            For fine-tuning, the share of steps on images of what was learnt before, such as 0.5, so \
            that it is not forgotten: those of --keep-images, or 256 that the checkpoint draws of \
            --keep-captions.
            """)
    var keep = 0.0

    @Option(help: "A folder of captioned images that --keep takes.")
    var keepImages: String?

    @Option(
        help: """
            A text file with a caption in each line, of which the checkpoint draws the images that \
            --keep takes. (default: captions.txt in the checkpoint, where `train cascade` writes its \
            own; for a LoRA of the miniature, drawn scenes)
            """)
    var keepCaptions: String?

    func validate() throws {
        guard (0..<1).contains(keep) else {
            throw ValidationError("--keep must be at least 0 and below 1")
        }
        guard keepImages == nil && keepCaptions == nil || keep > 0 else {
            throw ValidationError("--keep-images and --keep-captions are for --keep")
        }
        guard keepImages == nil || keepCaptions == nil else {
            throw ValidationError("--keep-images and --keep-captions exclude each other")
        }
    }

    /// What is kept in mind of a checkpoint; nil for nothing. Where nobody says what it knows,
    /// there are no captions to draw of.
    func knowledge(of checkpoint: URL?) throws -> KeptKnowledge? {
        guard keep > 0 else { return nil }
        if let keepImages {
            return KeptKnowledge(share: keep, from: .folder(URL(fileURLWithPath: keepImages)))
        }
        let named = try keepCaptions.map {
            try CheckpointCaptions(contentsOf: URL(fileURLWithPath: $0))
        }
        let captions = try named ?? checkpoint.flatMap { try CheckpointCaptions(of: $0) }
        return KeptKnowledge(
            share: keep, from: .drawn(captions?.captions ?? [], count: KeptKnowledge.standardCount))
    }

    /// New images with those that are to be kept in mind among them.
    ///
    /// - Parameters:
    ///   - images: The new images.
    ///   - checkpoint: What was learnt before; nil where images of it are named.
    ///   - isMiniature: Whether that is the small cascade, which learnt drawn scenes.
    ///   - folder: The training's folder.
    ///   - side: The side of the images.
    ///   - crop: The side of crops that are learnt in place of whole images.
    ///   - seed: What everything random depends on.
    /// - Returns: The images.
    /// - Throws: What drawing and reading images throws.
    func mixed(
        _ images: any ImageSource, of checkpoint: URL?, isMiniature: Bool = false, in folder: URL,
        side: Int, crop: Int? = nil, seed: UInt64
    ) throws -> any ImageSource {
        guard let knowledge = try knowledge(of: checkpoint) else { return images }
        guard !isMiniature || keepImages != nil || keepCaptions != nil else {
            return MixedImages(images, keeping: SceneImages(seed: seed, crop: crop), share: keep)
        }
        let status = StatusLine()
        let url = try knowledge.images(by: checkpoint ?? folder, in: folder) {
            status.show("drew \($0) images to keep in mind")
        }
        let kept = try ImageFolder(
            url,
            options: ImageFolderOptions(
                sizes: crop.map { .crops(side: $0) } ?? .buckets(AspectBuckets(side: side)),
                crop: .random, seed: seed), report: status.note)
        return MixedImages(images, keeping: kept, share: keep)
    }
}
