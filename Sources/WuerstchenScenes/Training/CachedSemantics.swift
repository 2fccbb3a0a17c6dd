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

    /// The latents of some scenes, from a file if it is there, or computed and written to it.
    ///
    /// - Parameters:
    ///   - images: The scenes.
    ///   - count: How many.
    ///   - compressor: What makes latents of images.
    ///   - file: Where they are kept; nil to keep them in memory alone.
    ///   - progress: Called with the number of scenes done.
    /// - Throws: `CancellationError` when the task is cancelled, or `WuerstchenError` when the file
    ///   holds something else, such as the latents of other scenes or of another compressor, or
    ///   cannot be written.
    public init(
        of images: SceneImages, count: Int, compressor: SemanticCompressor, file: URL? = nil,
        progress: (Int) -> Void = { _ in }
    ) throws {
        seed = images.seed
        classes = (0..<count).map { images.example($0).labels.classes }
        let batch = min(32, count)
        func part(_ number: Int) throws -> Tensor {
            let pixels = images.batch(number, count: batch).pixels
            return try compressor.encode(pixels).values[0..<min(batch, count - number * batch)]
        }
        let scenes =
            "\(count) scenes of seed \(images.seed) and split \(images.split)"
            + (images.crop.map { ", cut out to \($0) pixels" } ?? "")
        if let file, FileManager.default.fileExists(atPath: file.path) {
            latents = try CachedSemantics.latents(in: file, of: scenes, count, first: part(0))
            return
        }
        var parts: [Tensor] = []
        for first in stride(from: 0, to: count, by: batch) {
            try Task.checkCancellation()
            parts.append(try part(first / batch))
            progress(min(count, first + batch))
        }
        latents = Tensor.concatenating(parts)
        if let file {
            try Safetensors.write(
                [Safetensors.Source(name: "latents", latents)], metadata: ["scenes": scenes],
                to: file)
        }
    }

    /// The latents in a file, if it says that they are those of the scenes and the first of them
    /// are what the compressor makes now: its parameters have no name that could be noted, and a
    /// training on the latents of another one would look well and be useless.
    private static func latents(
        in file: URL, of scenes: String, _ count: Int, first: @autoclosure () throws -> Tensor
    ) throws -> Tensor {
        let source = try CheckpointParameters(contentsOf: file)
        guard let shape = source.shape(of: "latents"), shape.rank == 4, shape[0] == count,
            case .found(let latents) = try source.parameter(.init("latents", shape))
        else {
            throw WuerstchenError(
                .malformedFile, "\(file.path) does not hold the latents of \(scenes); delete it")
        }
        // Older files do not say; they are judged by their first latents alone.
        if let found = try Safetensors(contentsOf: file).metadata["scenes"], found != scenes {
            throw WuerstchenError(
                .malformedFile,
                "\(file.path) holds the latents of \(found), not of \(scenes); delete it")
        }
        let first = try first()
        guard latents.shape.array.dropFirst() == first.shape.array.dropFirst(),
            latents[0..<first.shape[0]].elements == first.elements
        else {
            throw WuerstchenError(
                .malformedFile,
                "\(file.path) holds latents that this compressor does not make of \(scenes); delete it"
            )
        }
        return latents
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
