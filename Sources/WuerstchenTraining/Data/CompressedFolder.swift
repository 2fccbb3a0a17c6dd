public import Foundation
internal import TensorCore
public import Wuerstchen

/// The semantic latents of a folder's images with their captions, computed once and kept in a file.
///
/// The latents do not change while Stage C learns. Reading and compressing each image once, in its
/// middle and never mirrored, leaves all the time to Stage C. Batches have the images of the
/// folder's own, in the same order.
public struct CompressedFolder: SemanticSource {
    let folder: ImageFolder
    private let compressor: SemanticCompressor
    private let latents: LatentFile
    let captions: [[String]]

    /// The latents of a folder's images, from a file if it has them.
    ///
    /// - Parameters:
    ///   - folder: The images.
    ///   - compressor: What makes latents of them.
    ///   - file: Where latents are kept. It is made anew when images, captions, sizes or the
    ///     compressor are others than it was made with.
    ///   - progress: Called with the number of images done.
    /// - Throws: `CancellationError` when the task is cancelled, or `WuerstchenError` when the file
    ///   is something else or cannot be written.
    public init(
        _ folder: ImageFolder, compressor: SemanticCompressor, file: URL,
        progress: (Int) -> Void = { _ in }
    ) throws {
        self.folder = folder
        self.compressor = compressor
        captions = folder.buckets.map { bucket in
            concurrentMap(bucket.images.count) { folder.caption(of: bucket.images[$0]) }
        }
        latents = try LatentFile(
            file, of: folder, network: "compressor \(SettingsDigest(of: compressor))",
            progress: progress
        ) { try compressor.embed(compressor.reduced($0)) }
    }

    /// The compressor's.
    public var latentChannels: Int? { SemanticCompressor.latentChannels }

    /// The latents and captions of a batch of images.
    public func semantics(_ number: Int, count: Int) throws -> SemanticBatch {
        try folder.firstReadableBucket(for: number, count: count) { bucket, indices in
            try embedding(indices, ofBucket: bucket, number: number).map {
                SemanticBatch(
                    latents: SemanticLatent(embedding: $0.values, space: compressor.latentSpace)
                        .values,
                    captions: $0.captions)
            }
        }
    }

    /// What the compressor made of some images of a bucket, and their captions as they stand in a
    /// batch; nil where none of it can be read.
    func embedding(
        _ indices: [Int], ofBucket bucket: Int, number: Int
    ) throws -> (values: Tensor, captions: [String])? {
        try latents.latents(indices, ofBucket: bucket).map { latents, images in
            (
                latents,
                images.enumerated().map { place, image in
                    folder.worded(captions[bucket][image], number: number, place: place)
                }
            )
        }
    }
}

extension CompressedFolder: CustomTrainingSettings {
    /// The folder's, that middles of images are taken, and the compressor's digest.
    public var trainingSettings: TrainingSettings {
        var settings = TrainingSettings()
        settings.add(folder, at: "images")
        settings["images.crop"] = .text("center, kept")
        settings.add(compressor, at: "compressor")
        return settings
    }
}

/// A folder's images with all that Stage B learns from, computed once and kept in files.
public struct EncodedFolder: EncodedImageSource {
    private let semantics: CompressedFolder
    private let latents: LatentFile

    /// The latents of a folder's images, from files if they have them.
    ///
    /// - Parameters:
    ///   - semantics: The images with their semantic latents.
    ///   - stageA: What makes the other latents.
    ///   - file: Where these are kept, as in ``CompressedFolder``.
    ///   - progress: Called with the number of images done.
    /// - Throws: As ``CompressedFolder/init(_:compressor:file:progress:)``.
    public init(
        _ semantics: CompressedFolder, stageA: StageA, file: URL,
        progress: (Int) -> Void = { _ in }
    ) throws {
        self.semantics = semantics
        latents = try LatentFile(
            file, of: semantics.folder, network: "Stage A \(SettingsDigest(of: stageA))",
            progress: progress
        ) { try stageA.latent(of: $0).values }
    }

    /// The images themselves.
    public func batch(_ number: Int, count: Int) throws -> ImageBatch {
        try semantics.folder.batch(number, count: count)
    }

    /// The latents of a batch.
    public func encoded(_ number: Int, count: Int) throws -> EncodedBatch {
        try semantics.folder.firstReadableBucket(for: number, count: count) { bucket, indices in
            guard let semantic = try semantics.embedding(indices, ofBucket: bucket, number: number),
                let own = try latents.latents(indices, ofBucket: bucket)
            else { return nil }
            return EncodedBatch(
                semantic: semantic.values, latents: own.latents, captions: semantic.captions)
        }
    }
}

extension EncodedFolder: CustomTrainingSettings {
    /// Those of the semantic latents; Stage A is the objective's.
    public var trainingSettings: TrainingSettings { semantics.trainingSettings }
}
