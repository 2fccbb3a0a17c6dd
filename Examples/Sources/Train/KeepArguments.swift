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

    /// New images with those that are to be kept in mind among them, of some side.
    func mixed(_ images: any ImageSource, side: Int, seed: UInt64) throws -> any ImageSource {
        guard keep > 0 else { return images }
        guard let keepImages else {
            return MixedImages(images, keeping: SceneImages(seed: seed), share: keep)
        }
        let folder = try ImageFolder(
            URL(fileURLWithPath: keepImages),
            options: ImageFolderOptions(
                sizes: .buckets(AspectBuckets(side: side)), crop: .random,
                seed: seed), report: StatusLine().note)
        return MixedImages(images, keeping: folder, share: keep)
    }
}
