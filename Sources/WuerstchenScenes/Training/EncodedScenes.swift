public import Foundation
internal import TensorCore
public import Wuerstchen
internal import WuerstchenNN
public import WuerstchenTraining

/// Drawn scenes with all that Stage B learns from, computed once and kept in a file, and a fresh
/// caption at every visit.
///
/// The latents of Stage A and of the compressor do not change while Stage B learns, so that drawing
/// and encoding each image once leaves all the time to Stage B. They are kept in 16-bit floats,
/// 34 kB a scene of 256×256 pixels, and read as they are needed.
public struct EncodedScenes: EncodedImageSource, SceneLabelSource {
    private let images: SceneImages
    private let classes: [[Int]]
    private let digest: String
    private let rows: Safetensors
    private let entry: Safetensors.Entry
    private let (semantic, latents): ([Int], [Int])

    private static let name = "rows"

    /// The latents of some scenes, from a file if it has them, or computed and written to it.
    ///
    /// - Parameters:
    ///   - images: The scenes.
    ///   - count: How many, at least 1.
    ///   - stageA: What makes latents of images.
    ///   - compressor: What makes semantic latents of them.
    ///   - file: Where both are kept. It is made anew when they are those of other scenes or
    ///     networks.
    ///   - progress: Called with the number of scenes done.
    /// - Throws: `CancellationError` when the task is cancelled, or `WuerstchenError` when the file
    ///   is something else or cannot be written.
    public init(
        of images: SceneImages, count: Int, stageA: StageA, compressor: SemanticCompressor,
        file: URL, progress: (Int) -> Void = { _ in }
    ) throws {
        self.images = images
        classes = (0..<count).map { images.example($0).labels.classes }
        digest =
            "\(images.record(of: count)) by Stage A \(SettingsDigest(of: stageA)) and "
            + "compressor \(SettingsDigest(of: compressor))"
        func encoded(_ number: Int, count: Int) throws -> (semantic: Tensor, latents: Tensor) {
            let pixels = images.batch(number, count: count).pixels
            return (
                try compressor.embed(compressor.reduced(pixels)),
                try stageA.latent(of: pixels).values
            )
        }
        let first = try encoded(0, count: 1)
        semantic = Array(first.semantic.shape.array.dropFirst())
        latents = Array(first.latents.shape.array.dropFirst())
        let shape = [count, first.semantic.count + first.latents.count]
        if try LatentFile.fingerprint(of: file) != digest {
            try Self.write(shape, digest, to: file, progress, encoded)
        }
        rows = try Safetensors(contentsOf: file)
        guard let entry = rows.entries[Self.name], entry.elementType == .f16, entry.shape == shape
        else { throw LatentFile.damaged(file) }
        self.entry = entry
    }

    private static func write(
        _ shape: [Int], _ scenes: String, to file: URL, _ progress: (Int) -> Void,
        _ encode: (_ number: Int, _ count: Int) throws -> (semantic: Tensor, latents: Tensor)
    ) throws {
        try withoutActuallyEscaping(encode) { encode in
            try withoutActuallyEscaping(progress) { progress in
                let source = Safetensors.Source(name: name, elementType: .f16, shape: shape) {
                    write in
                    let batch = 16
                    for first in stride(from: 0, to: shape[0], by: batch) {
                        try Task.checkCancellation()
                        let count = min(batch, shape[0] - first)
                        let made = try encode(first / batch, batch)
                        let halves = [made.semantic, made.latents].map { $0.elements }
                        var row: [Float16] = []
                        row.reserveCapacity(count * shape[1])
                        for place in 0..<count {
                            for values in halves {
                                let width = values.count / batch
                                row += values[place * width..<(place + 1) * width].lazy.map {
                                    Float16($0)
                                }
                            }
                        }
                        try row.withUnsafeBytes { try write($0) }
                        progress(first + count)
                    }
                }
                try Safetensors.write([source], metadata: [LatentFile.key: scenes], to: file)
            }
        }
    }

    /// The images themselves, each once.
    public func batch(_ number: Int, count: Int) -> ImageBatch {
        images.batch(number, count: count)
    }

    /// The latents of scenes drawn at random, with captions drawn afresh.
    public func encoded(_ number: Int, count: Int) throws -> EncodedBatch {
        let (chosen, drawn) = SceneCaption.draws(
            from: classes, seed: images.seed, number, count: count)
        let (width, split) = (entry.shape[1], semantic.reduce(1, *))
        let values = try rows.withBytes(of: entry) { bytes in
            chosen.map { scene in
                (scene * width..<(scene + 1) * width).map {
                    let bits = bytes.loadUnaligned(fromByteOffset: 2 * $0, as: UInt16.self)
                    return Float(Float16(bitPattern: UInt16(littleEndian: bits)))
                }
            }
        }
        return EncodedBatch(
            semantic: Tensor(values.flatMap { $0[..<split] }, Shape([count] + semantic)),
            latents: Tensor(values.flatMap { $0[split...] }, Shape([count] + latents)),
            captions: drawn.map(\.text))
    }

    /// What the latents of a batch show, and what the captions say of it.
    public func labels(_ number: Int, count: Int) -> [SceneLabels] {
        let (chosen, drawn) = SceneCaption.draws(
            from: classes, seed: images.seed, number, count: count)
        return zip(chosen, drawn).map {
            SceneLabels(classes: classes[$0], isMentioned: $1.isMentioned)
        }
    }
}

extension EncodedScenes: CustomTrainingSettings {
    /// Of which scenes the latents are, and of which networks.
    public var trainingSettings: TrainingSettings {
        var settings = TrainingSettings()
        settings["scenes"] = .text(digest)
        return settings
    }
}
