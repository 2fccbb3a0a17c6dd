package import Foundation
import TensorCore
package import Wuerstchen

/// The latents of a folder's images in a file, of which no more than a batch is in memory.
///
/// Each row begins with the index of the image that the latents are of: another one's where an
/// image is damaged.
package struct LatentFile: Sendable {
    private let file: Safetensors
    /// For each bucket its tensor and the shape of a latent; nil where no image can be read.
    private let buckets: [(entry: Safetensors.Entry, shape: [Int])?]

    private static let batchSize = 16

    /// The latents in a file if it has those that are wanted, or computed and written to it.
    ///
    /// - Parameters:
    ///   - url: The file. It is replaced if it has the latents of other images or of another
    ///     network.
    ///   - folder: The images, of which the middles are taken.
    ///   - network: What tells the network that makes the latents from others.
    ///   - progress: Called with the number of images done.
    ///   - encode: Makes latents of pixels.
    /// - Throws: `CancellationError` when the task is cancelled, or `WuerstchenError` when the file
    ///   is something else or cannot be written.
    init(
        _ url: URL, of folder: ImageFolder, network: String, progress: (Int) -> Void,
        encode: (Tensor) throws -> Tensor
    ) throws {
        let wanted = "\(folder.fingerprint) at \(folder.options.sizes) by \(network)"
        if try Self.fingerprint(of: url) != wanted {
            try Self.write(url, of: folder, wanted, progress, encode)
        }
        file = try Safetensors(contentsOf: url)
        let (entries, metadata) = (file.entries, file.metadata)
        buckets = try folder.buckets.indices.map { index in
            guard let entry = entries["\(index)"] else { return nil }
            let shape = (metadata["\(index)"] ?? "").split(separator: " ").compactMap { Int($0) }
            guard shape.count == 3, entry.elementType == .f32,
                entry.shape == [folder.buckets[index].images.count, 1 + shape.reduce(1, *)]
            else {
                throw Self.damaged(url)
            }
            return (entry, shape)
        }
    }

    /// Where the metadata of a file say what its latents are of.
    package static let key = "latents"

    /// What a file says that its latents are of; nil if there is none.
    ///
    /// - Throws: `WuerstchenError` when the file is something else.
    package static func fingerprint(of url: URL) throws -> String? {
        guard FileManager.default.fileExists(atPath: url.path) else { return nil }
        guard let found = try? Safetensors(contentsOf: url).metadata[key] else {
            throw WuerstchenError(
                .malformedFile,
                "\(url.path) is no file of latents that training made; move it away, or delete it")
        }
        return found
    }

    /// The refusal of a file that is not what it says.
    package static func damaged(_ url: URL) -> WuerstchenError {
        WuerstchenError(
            .malformedFile, "\(url.path) is damaged; delete it, and it is made again")
    }

    private static func write(
        _ url: URL, of folder: ImageFolder, _ fingerprint: String, _ progress: (Int) -> Void,
        _ encode: (Tensor) throws -> Tensor
    ) throws {
        try withoutActuallyEscaping(encode) { encode in
            try withoutActuallyEscaping(progress) { progress in
                // Gone at the end, with the closures that they hold.
                var sources: [Safetensors.Source] = []
                var metadata = [key: fingerprint]
                var before = 0
                for (index, bucket) in folder.buckets.enumerated() {
                    let count = bucket.images.count
                    guard let first = try folder.middles(0..<1, of: bucket) else { continue }
                    let shape = try encode(first.pixels).shape.array.dropFirst()
                    metadata["\(index)"] = shape.map { "\($0)" }.joined(separator: " ")
                    let start = before
                    sources.append(
                        Safetensors.Source(
                            name: "\(index)", elementType: .f32,
                            shape: [count, 1 + shape.reduce(1, *)]
                        ) { write in
                            for first in stride(from: 0, to: count, by: batchSize) {
                                try Task.checkCancellation()
                                let range = first..<min(count, first + batchSize)
                                guard let found = try folder.middles(range, of: bucket) else {
                                    continue
                                }
                                let rows = Self.rows(try encode(found.pixels), found.indices)
                                try rows.withUnsafeBytes { try write($0) }
                                progress(start + range.upperBound)
                            }
                        })
                    before += count
                }
                try Safetensors.write(sources, metadata: metadata, to: url)
            }
        }
    }

    /// Latents with the indices of their images in front.
    private static func rows(_ latents: Tensor, _ indices: [Int]) -> [Float] {
        let (elements, width) = (latents.elements, latents.count / max(1, indices.count))
        var rows: [Float] = []
        rows.reserveCapacity(indices.count * (1 + width))
        for (place, index) in indices.enumerated() {
            rows.append(Float(index))
            rows += elements[place * width..<(place + 1) * width]
        }
        return rows
    }

    /// The latents of images, `[images, …]`, and the indices of the images that they are of; nil
    /// where no image of the bucket can be read.
    func latents(
        _ indices: [Int], ofBucket bucket: Int
    ) throws -> (latents: Tensor, images: [Int])? {
        guard let (entry, shape) = buckets[bucket] else { return nil }
        let width = shape.reduce(1, *)
        var images: [Int] = []
        let size = MemoryLayout<Float>.size
        let elements = try file.withBytes(of: entry) { bytes in
            var elements = [Float](repeating: 0, count: indices.count * width)
            elements.withUnsafeMutableBytes { target in
                for (place, index) in indices.enumerated() {
                    let start = index * (1 + width) * size
                    images.append(Int(bytes.loadUnaligned(fromByteOffset: start, as: Float.self)))
                    let row = start + size..<start + (1 + width) * size
                    UnsafeMutableRawBufferPointer(
                        rebasing: target[place * width * size..<(place + 1) * width * size]
                    ).copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[row]))
                }
            }
            return elements
        }
        return (Tensor(elements, Shape([indices.count] + shape)), images)
    }
}
