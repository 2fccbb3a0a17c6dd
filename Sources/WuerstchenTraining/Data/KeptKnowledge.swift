public import Foundation
internal import TensorCore
internal import Wuerstchen

/// What fine-tuning keeps in mind of what was learnt before: images of a folder, or those that the
/// checkpoint draws of some captions before it learns anything new.
public struct KeptKnowledge: Sendable {
    /// Where the images are from.
    public enum Source: Sendable {
        /// A folder of captioned images.
        case folder(URL)
        /// Images that a checkpoint draws of captions, as many as are said.
        case drawn([String], count: Int)
    }

    /// The share of steps that is taken on them, from 0 up to 1.
    public var share: Double
    /// Where they are from.
    public var source: Source

    /// Knowledge that a share of the steps is taken on.
    ///
    /// - Precondition: The share is at least 0 and below 1.
    public init(share: Double, from source: Source) {
        precondition((0..<1).contains(share), "a share of \(share)")
        (self.share, self.source) = (share, source)
    }

    /// How many images are drawn if no other number is wanted.
    public static let standardCount = 256

    /// Refuses to draw of no captions.
    ///
    /// - Parameter checkpoint: What is to draw.
    /// - Throws: `WuerstchenError` with code `invalidRequest` that says what to name, or what
    ///   opening the checkpoint throws.
    public func validate(for checkpoint: URL) throws {
        guard case .drawn(let captions, let count) = source, captions.isEmpty || count < 1 else {
            return
        }
        // Of a checkpoint that is none it would be no use to name captions.
        _ = try Cascade(contentsOf: checkpoint, memory: .sequential)
        throw WuerstchenError(
            .invalidRequest,
            "it is not known what \(checkpoint.path) has learnt: it has no "
                + "\(CheckpointCaptions.fileName); name captions (--keep-captions) or a folder of "
                + "images (--keep-images) to keep in mind")
    }

    /// The number of images that are to be drawn.
    var drawnCount: Int {
        if case .drawn(_, let count) = source { count } else { 0 }
    }

    /// The folder of the images, those that are to be drawn in `kept` in a training's folder.
    /// Images that are there are not drawn again.
    ///
    /// - Parameters:
    ///   - checkpoint: What draws them.
    ///   - folder: The training's folder.
    ///   - progress: Called with the number of images that are there.
    /// - Returns: The folder of images.
    /// - Throws: `CancellationError` when the task is cancelled, or `WuerstchenError` when the
    ///   checkpoint cannot be loaded, there is no caption or files cannot be written.
    public func images(
        by checkpoint: URL, in folder: URL, progress: (Int) -> Void = { _ in }
    ) throws -> URL {
        guard case .drawn(let captions, let count) = source else {
            if case .folder(let folder) = source { return folder }
            return folder
        }
        try validate(for: checkpoint)
        let kept = folder.appendingPathComponent("kept")
        try makeFolder(kept)
        var cascade: Cascade?
        for number in 0..<count {
            try Task.checkCancellation()
            let name = "\(number)"
            let stem = kept.appendingPathComponent(
                String(repeating: "0", count: max(0, 6 - name.count)) + name)
            let file = stem.appendingPathExtension("png")
            if FileManager.default.fileExists(atPath: file.path) { continue }
            let drawer = try cascade ?? Cascade(contentsOf: checkpoint, precision: .bfloat16)
            cascade = drawer
            // Evenly from all, and each with noise of its own.
            let caption = captions[
                captions.count > count ? number * captions.count / count : number % captions.count]
            let image = try drawer.makeImages(
                for: .sample(of: caption, seed: UInt64(number)))[0]
            // The image last: where it is, its caption is.
            try AtomicFile.replace(
                stem.appendingPathExtension("txt"), with: Data((caption + "\n").utf8))
            try image.write(to: file, text: [Image.software])
            progress(number + 1)
        }
        return kept
    }
}

extension GenerationRequest {
    /// A request for an image that shows what a cascade has learnt, in fewer steps than one that is
    /// to be as good as can be.
    static func sample(of caption: String, seed: UInt64) throws -> GenerationRequest {
        try GenerationRequest(
            caption, seed: seed,
            stageC: SamplingOptions(timesteps: Timesteps(count: 20), guidance: 4))
    }
}
