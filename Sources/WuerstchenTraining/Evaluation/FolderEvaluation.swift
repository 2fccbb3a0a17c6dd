private import Foundation
public import TensorCore
private import Wuerstchen

/// How near the images of a cascade come to those of a folder: whatever they show.
public struct FolderEvaluation: Sendable {
    /// What was found of one part.
    public struct Result: Sendable {
        /// Which part.
        public let gate: CascadeGates.Gate
        /// How many images were made.
        public let count: Int
        /// The mean peak signal-to-noise ratio to the images themselves, in decibels; nil where
        /// only captions went in.
        public let signalToNoise: Double?
        /// `ImageDetail.edges`, as a share of the held-out images'.
        public let edges: Double
        /// `ImageDetail.laplacian`, as a share of the held-out images'.
        public let laplacian: Double
        /// The distances of patches to those of the held-out images, from fine to coarse.
        public let patchDistances: [Double]
        /// The Fréchet distance to the held-out images, in the means and deviations of the
        /// compressor's channels; nil of a single image.
        public let distance: Double?
        /// The share of images whose own caption fits best among all that were asked for; nil where
        /// there is no probe.
        public let retrieval: Double?
    }

    /// The parts that are measured.
    public var gates: CascadeGates
    /// Images that are made at a time.
    public var batchSize = 16

    private let learnt: ImageFolder
    private let heldOut: ImageFolder
    private let detail: ImageDetail
    private let features: FeatureStatistics
    private let probe: CaptionProbe?

    /// How many held-out images everything is measured with.
    public let count: Int

    /// What is compared with the images of a folder.
    ///
    /// - Parameters:
    ///   - gates: The parts of a cascade.
    ///   - folder: The folder, with the share held out that the cascade was trained without, and
    ///     with one size for all images.
    ///   - count: The most images to measure with.
    /// - Throws: `WuerstchenError` with code `invalidRequest` for a folder that holds out fewer
    ///   than two images, or has images that are too small; `CancellationError`.
    public init(_ gates: CascadeGates, _ folder: ImageFolder, count: Int) throws {
        guard let heldOut = folder.validation, heldOut.imageCount > 1, count > 1 else {
            throw WuerstchenError(
                .invalidRequest,
                "\(folder.url.path) holds out \(folder.validation?.imageCount ?? 0) images, and "
                    + "measuring takes two or more; choose a larger share, or a larger folder")
        }
        self.gates = gates
        (learnt, self.heldOut) = (folder, heldOut)
        self.count = min(count, heldOut.imageCount)
        var detail = ImageDetail()
        var features: [Tensor] = []
        for batch in Self.batches(heldOut, self.count, batchSize) {
            let batch = try batch()
            try detail.add(batch.pixels)
            features.append(Self.statistics(of: try gates.embedding(of: batch.pixels)))
        }
        self.detail = detail
        self.features = FeatureStatistics(Tensor.concatenating(features))
        // Some ten for each feature are plenty.
        var (maps, captions): ([Tensor], [String]) = ([], [])
        for batch in Self.batches(learnt, min(1024, learnt.imageCount), batchSize) {
            let batch = try batch()
            maps.append(Self.map(of: try gates.embedding(of: batch.pixels)))
            captions += batch.captions
        }
        probe = CaptionProbe(features: Tensor.concatenating(maps), captions: captions)
    }

    /// Why there is no share of captions that are found; nil where there is one.
    public var probeProblem: String? {
        probe == nil
            ? "captions cannot be looked for: that takes \(CaptionProbe.smallestCount) captioned "
                + "images to learn from, with words that tell them apart" : nil
    }

    /// Puts the held-out images, or their captions, through a gate.
    ///
    /// Of ``CascadeGates/Gate/images`` other images of the folder are measured, as the mark that
    /// nothing comes below, and it is the held-out ones whose captions are looked for.
    ///
    /// - Parameters:
    ///   - gate: Which parts.
    ///   - progress: Called with the images of each batch and their captions.
    /// - Returns: How near they come to the held-out images.
    /// - Throws: `CancellationError` when the task is cancelled, or what the networks throw.
    public func run(
        _ gate: CascadeGates.Gate, progress: (Tensor, [String]) throws -> Void = { _, _ in }
    ) throws -> Result {
        var made = ImageDetail(seed: 1)
        var (statistics, maps): ([Tensor], [Tensor]) = ([], [])
        var (captions, decibels): ([String], [Double]) = ([], [])
        var first = 0
        for batch in Self.batches(heldOut, count, batchSize) {
            try Task.checkCancellation()
            let batch = try batch()
            let pixels = try gates.make(gate, batch, seed: UInt64(first)).clamped()
            let embedding = try gates.embedding(of: pixels)
            maps.append(Self.map(of: embedding))
            var (shown, seen) = (pixels, embedding)
            if gate == .images {
                shown = try learnt.batch(first / batchSize, count: batch.captions.count).pixels
                seen = try gates.embedding(of: shown)
            }
            try made.add(shown)
            statistics.append(Self.statistics(of: seen))
            captions += batch.captions
            if gate != .images, !gate.isFromText {
                let truth = batch.pixels.resized(toMatch: pixels)
                decibels += (0..<batch.captions.count).map {
                    Double(peakSignalToNoise(pixels[$0..<$0 + 1], truth[$0..<$0 + 1]))
                }
            }
            first += batch.captions.count
            try progress(shown, batch.captions)
        }
        let found = Tensor.concatenating(statistics)
        let ranks = probe?.ranks(features: Tensor.concatenating(maps), captions: captions)
        return Result(
            gate: gate, count: first,
            signalToNoise: decibels.isEmpty
                ? nil : decibels.reduce(0, +) / Double(decibels.count),
            edges: made.edges / detail.edges, laplacian: made.laplacian / detail.laplacian,
            patchDistances: made.patchDistances(to: detail),
            distance: first > 1 ? FeatureStatistics(found).distance(to: features) : nil,
            retrieval: ranks.map { Double($0.count { $0 == 0 }) / Double(max(1, $0.count)) })
    }

    /// Makes a process's share of what a gate is measured with, as far as it is not there, to be
    /// kept in ``CascadeGates/kept``.
    ///
    /// - Parameters:
    ///   - gate: Which parts.
    ///   - process: Which process this is.
    ///   - progress: Called after each batch with the number of images done.
    /// - Throws: As ``run(_:progress:)``.
    public func make(
        _ gate: CascadeGates.Gate, by process: ProcessRank, progress: (Int) -> Void = { _ in }
    ) throws {
        for (number, batch) in Self.batches(heldOut, count, batchSize).enumerated()
        where process.takes(number) && !gates.has(gate, seed: UInt64(number * batchSize)) {
            let batch = try batch()
            _ = try gates.make(gate, batch, seed: UInt64(number * batchSize))
            progress(number * batchSize + batch.captions.count)
        }
    }

    /// Whether all that a gate is measured with has been made and kept.
    public func isMade(_ gate: CascadeGates.Gate) -> Bool {
        stride(from: 0, to: count, by: batchSize).allSatisfy { gates.has(gate, seed: UInt64($0)) }
    }

    private static func batches(
        _ folder: ImageFolder, _ count: Int, _ size: Int
    ) -> [() throws -> ImageBatch] {
        // Whole batches, and the first of the next where they do not come out even.
        stride(from: 0, to: count, by: size).map { first in
            {
                try Task.checkCancellation()
                let batch = try folder.batch(first / size, count: size)
                let rest = min(size, count - first)
                return ImageBatch(
                    pixels: batch.pixels[0..<rest], captions: Array(batch.captions.prefix(rest)))
            }
        }
    }

    /// Mean and deviation of each of the compressor's channels, `[batch, 32]`.
    private static func statistics(of values: Tensor) -> Tensor {
        let (images, channels) = (values.shape[0], values.shape[3])
        let places = values.shape[1] * values.shape[2]
        let elements = values.elements
        var result: [Float] = []
        for image in 0..<images {
            var (sums, squares) = (
                [Float](repeating: 0, count: channels),
                [Float](repeating: 0, count: channels)
            )
            for place in 0..<places {
                for channel in 0..<channels {
                    let value = elements[(image * places + place) * channels + channel]
                    sums[channel] += value
                    squares[channel] += value * value
                }
            }
            let means = sums.map { $0 / Float(places) }
            result += means
            result += zip(squares, means).map {
                max(0, $0 / Float(places) - $1 * $1).squareRoot()
            }
        }
        return Tensor(result, [images, 2 * channels])
    }

    /// The compressor's channels in three by three places, `[batch, 144]`.
    private static func map(of values: Tensor) -> Tensor {
        let small = values.resized(
            toMatch: Tensor(repeating: 0, [values.shape[0], 3, 3, values.shape[3]]))
        return small.reshaped(to: [small.shape[0], small.count / small.shape[0]])
    }
}
