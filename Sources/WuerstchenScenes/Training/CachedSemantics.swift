public import Foundation
internal import TensorCore
public import Wuerstchen
internal import WuerstchenNN
public import WuerstchenTraining

/// Semantic latents of drawn scenes, computed once and kept, with a fresh caption at every visit.
///
/// The latents do not change while Stage C learns, so that drawing and compressing each image once
/// leaves all the time to Stage C.
public struct CachedSemantics: SemanticSource, SceneLabelSource {
    private let latents: Tensor
    private let classes: [[Int]]
    private let seed: UInt64

    /// The latents of some scenes, from a file if it has them, or computed and written to it.
    ///
    /// - Parameters:
    ///   - images: The scenes.
    ///   - count: How many.
    ///   - compressor: What makes latents of images.
    ///   - file: Where they are kept; nil to keep them in memory alone. It is made anew when they
    ///     are those of other scenes or of another compressor.
    ///   - progress: Called with the number of scenes done.
    /// - Throws: `CancellationError` when the task is cancelled, or `WuerstchenError` when the file
    ///   is something else or cannot be written.
    public init(
        of images: SceneImages, count: Int, compressor: SemanticCompressor, file: URL? = nil,
        progress: (Int) -> Void = { _ in }
    ) throws {
        seed = images.seed
        classes = (0..<count).map { images.example($0).labels.classes }
        let digest = "\(images.record(of: count)) by compressor \(SettingsDigest(of: compressor))"
        if let file, try LatentFile.fingerprint(of: file) == digest {
            latents = try CachedSemantics.latents(in: file, count)
            return
        }
        let batch = min(32, count)
        var parts: [Tensor] = []
        for first in stride(from: 0, to: count, by: batch) {
            try Task.checkCancellation()
            let pixels = images.batch(first / batch, count: batch).pixels
            parts.append(try compressor.encode(pixels).values[0..<min(batch, count - first)])
            progress(min(count, first + batch))
        }
        latents = Tensor.concatenating(parts)
        if let file {
            try Safetensors.write(
                [Safetensors.Source(name: Self.name, latents)],
                metadata: [LatentFile.key: digest], to: file)
        }
    }

    private static let name = "latents"

    private static func latents(in file: URL, _ count: Int) throws -> Tensor {
        guard let found = try CheckpointParameters(contentsOf: file).values()[name],
            found.shape.rank == 4, found.shape[0] == count
        else { throw LatentFile.damaged(file) }
        return found
    }

    /// The latents' own.
    public var latentChannels: Int? { latents.shape.channels }

    /// Latents drawn at random, with captions drawn afresh.
    public func semantics(_ number: Int, count: Int) throws -> SemanticBatch {
        let (chosen, drawn) = SceneCaption.draws(from: classes, seed: seed, number, count: count)
        let width = latents.count / max(1, latents.shape[0])
        let rows = latents.reshaped(to: [latents.shape[0], width]).embeddingLookup(chosen)
        return SemanticBatch(
            latents: rows.reshaped(to: Shape([count] + latents.shape.array.dropFirst())),
            captions: drawn.map(\.text))
    }

    /// What the images of a batch show, and what the captions say of it.
    public func labels(_ number: Int, count: Int) -> [SceneLabels] {
        let (chosen, drawn) = SceneCaption.draws(from: classes, seed: seed, number, count: count)
        return zip(chosen, drawn).map {
            SceneLabels(classes: classes[$0], isMentioned: $1.isMentioned)
        }
    }
}
