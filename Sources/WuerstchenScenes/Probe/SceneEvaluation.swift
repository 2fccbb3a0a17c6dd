public import TensorCore
public import Wuerstchen
public import WuerstchenTraining

/// How well images show what they should, by a probe.
public struct SceneEvaluation: Sendable {
    /// What was looked at.
    public let name: String
    /// The share of right answers for each ``SceneAttribute``, by its raw value; nil where none was
    /// asked for.
    public let shares: [Double?]
    /// The share of images with nothing wrong.
    public let allRight: Double
    /// The Fréchet distance of the probe's features to those of true images.
    public let distance: Double?
    /// The mean peak signal-to-noise ratio to the true images, in decibels.
    public let signalToNoise: Double?
    /// `ImageDetail.edges`, as a share of the true images'.
    public let edges: Double
    /// `ImageDetail.laplacian`, as a share of the true images'.
    public let laplacian: Double
    /// The distances of patches to those of true images, from fine to coarse.
    public let patchDistances: [Double]

    /// The mean of the attributes' shares.
    public var mean: Double {
        let known = shares.compactMap { $0 }
        return known.reduce(0, +) / Double(max(1, known.count))
    }

    /// What images are compared with: other scenes, as they were drawn.
    public struct Truth: Sendable {
        /// What the probe makes of them.
        public let features: FeatureStatistics
        /// How sharp they are, and their patches.
        public let detail: ImageDetail
    }

    /// Collects images and their judgements.
    public struct Collector {
        private let name: String
        private let probe: SceneProbe
        private var right = [Int](repeating: 0, count: SceneAttribute.allCases.count)
        private var asked = [Int](repeating: 0, count: SceneAttribute.allCases.count)
        private var images = 0
        private var perfect = 0
        private var features: [Tensor] = []
        private var decibels: [Double] = []
        private var detail = ImageDetail(seed: 1)

        /// Nothing collected yet.
        public init(_ name: String, probe: SceneProbe) {
            self.name = name
            self.probe = probe
        }

        /// Judges a batch.
        ///
        /// - Parameters:
        ///   - pixels: `[batch, height, width, 3]`, 0…1.
        ///   - wanted: For each image and attribute what it should show; nil for anything.
        ///   - truth: What the images should look like, if that is known.
        /// - Throws: `WuerstchenError` with code `invalidRequest` for images that are too small.
        public mutating func add(
            _ pixels: Tensor, wanted: [[Int?]], truth: Tensor? = nil
        ) throws {
            let seen = probe.features(of: pixels.clamped())
            features.append(seen)
            try detail.add(pixels.clamped())
            for (found, wanted) in zip(probe.classes(ofFeatures: seen), wanted) {
                var isPerfect = true
                for (attribute, value) in wanted.enumerated() {
                    guard let value else { continue }
                    asked[attribute] += 1
                    if found[attribute] == value {
                        right[attribute] += 1
                    } else {
                        isPerfect = false
                    }
                }
                images += 1
                if isPerfect { perfect += 1 }
            }
            guard let truth else { return }
            for image in 0..<pixels.shape[0] {
                decibels.append(
                    Double(
                        peakSignalToNoise(
                            pixels[image..<image + 1], truth[image..<image + 1])))
            }
        }

        /// The judgement of all.
        ///
        /// - Parameter truth: Other scenes, as they were drawn.
        /// - Returns: Shares of right answers, distances and likeness.
        public func evaluation(against truth: Truth) -> SceneEvaluation {
            let all = features.isEmpty ? nil : Tensor.concatenating(features)
            return SceneEvaluation(
                name: name,
                shares: zip(right, asked).map { $1 == 0 ? nil : Double($0) / Double($1) },
                allRight: Double(perfect) / Double(max(1, images)),
                distance: all.flatMap {
                    $0.shape[0] > 1 ? FeatureStatistics($0).distance(to: truth.features) : nil
                },
                signalToNoise: decibels.isEmpty
                    ? nil : decibels.reduce(0, +) / Double(decibels.count),
                edges: detail.edges / truth.detail.edges,
                laplacian: detail.laplacian / truth.detail.laplacian,
                patchDistances: detail.patchDistances(to: truth.detail))
        }

    }
}

/// Puts the parts of a cascade, one after the other, before a probe, so that it is plain which is
/// short: images as they are, through Stage A, through compressor and preview decoder, through
/// compressor and Stages B and A, and from text.
public struct CascadeEvaluation: Sendable {
    /// What is put before the probe.
    public enum Gate: String, Sendable, CaseIterable {
        /// The drawn images themselves.
        case renders
        /// Stage A: encoded and decoded.
        case stageA = "A"
        /// The compressor and the preview decoder.
        case preview = "compressor → preview"
        /// The compressor, and Stages B and A.
        case decoder = "compressor → B → A"
        /// Text through Stage C and the preview decoder.
        case textPreview = "text → C → preview"
        /// Text through the whole cascade.
        case text = "text → C → B → A"
    }

    /// The cascade.
    public var cascade: Cascade
    /// The compressor.
    public var compressor: SemanticCompressor
    /// The probe.
    public var probe: SceneProbe
    /// Held-out scenes and their captions.
    public var images: SceneImages
    /// How Stage C samples.
    public var stageC: SamplingOptions?
    /// How Stage B samples.
    public var stageB: SamplingOptions?
    /// Images that are made at a time.
    public var batchSize = 16

    /// An evaluation of a cascade.
    public init(
        cascade: Cascade, compressor: SemanticCompressor, probe: SceneProbe, seed: UInt64 = 5000
    ) {
        self.cascade = cascade
        self.compressor = compressor
        self.probe = probe
        images = SceneImages(seed: seed, split: .heldOut)
    }

    /// Other scenes, as they were drawn, for distances.
    ///
    /// - Parameter count: How many, rounded up to whole batches.
    /// - Returns: What other images are compared with.
    /// - Throws: `CancellationError` when the task is cancelled.
    public func truth(count: Int) throws -> SceneEvaluation.Truth {
        let others = SceneImages(seed: images.seed &+ 1, split: .heldOut)
        var detail = ImageDetail()
        let features = try (0..<(count + batchSize - 1) / batchSize).map {
            try Task.checkCancellation()
            let pixels = others.batch($0, count: batchSize).pixels
            try detail.add(pixels)
            return probe.features(of: pixels)
        }
        return SceneEvaluation.Truth(
            features: FeatureStatistics(Tensor.concatenating(features)), detail: detail)
    }

    /// Puts a number of images through a gate.
    ///
    /// - Parameters:
    ///   - gate: Which parts.
    ///   - count: How many images, rounded up to whole batches.
    ///   - truth: Other scenes, from ``truth(count:)``.
    ///   - progress: Called after each batch with the number of images done and the batch's
    ///     images.
    /// - Returns: What the probe saw. Of images from text only what their captions mention counts.
    /// - Throws: `CancellationError` when the task is cancelled, or what the networks throw.
    public func run(
        _ gate: Gate, count: Int, against truth: SceneEvaluation.Truth,
        progress: (Int, Tensor) throws -> Void = { _, _ in }
    ) throws -> SceneEvaluation {
        var collector = SceneEvaluation.Collector(gate.rawValue, probe: probe)
        for number in 0..<(count + batchSize - 1) / batchSize {
            try Task.checkCancellation()
            let batch = images.batch(number, count: batchSize)
            let labels = images.labels(number, count: batchSize)
            let isFromText = gate == .text || gate == .textPreview
            let made = try make(gate, batch, seed: UInt64(number * batchSize))
            try collector.add(
                made, wanted: labels.map { isFromText ? $0.mentioned : $0.visible },
                truth: isFromText || gate == .renders ? nil : batch.pixels.resized(toMatch: made))
            try progress((number + 1) * batchSize, made)
        }
        return collector.evaluation(against: truth)
    }

    /// The images of a gate, `[batch, height, width, 3]`.
    public func make(_ gate: Gate, _ batch: ImageBatch, seed: UInt64) throws -> Tensor {
        switch gate {
        case .renders: return batch.pixels
        case .stageA:
            let stage = try cascade.diffusionDecoder().stageA()
            return try stage.decode(unscaled: stage.encode(batch.pixels))
        case .preview: return try cascade.previewDecoder.pixels(of: latent(batch).values)
        case .decoder: return try decode(latent(batch), batch.captions, seed: seed)
        case .textPreview:
            return try cascade.previewDecoder.pixels(of: sample(batch.captions, seed: seed).values)
        case .text:
            return try decode(sample(batch.captions, seed: seed), batch.captions, seed: seed)
        }
    }

    private func latent(_ batch: ImageBatch) throws -> SemanticLatent {
        SemanticLatent(
            embedding: try compressor.embed(compressor.reduced(batch.pixels)),
            space: cascade.latentSpace)
    }

    private func sample(_ captions: [String], seed: UInt64) throws -> SemanticLatent {
        let text = try cascade.textEncoder().encode(
            captions, negatives: captions.map { _ in "" })
        let stage = try cascade.stageC()
        let seeds = captions.indices.map { seed &+ UInt64($0) }
        var sampler = try stage.sampler(
            text, grid: cascade.grid(for: cascade.defaultSize), noise: SeededNoise(seeds: seeds),
            options: stageC)
        while try sampler.next() != nil {}
        return stage.latent(sampler)
    }

    private func decode(
        _ latent: SemanticLatent, _ captions: [String], seed: UInt64
    ) throws -> Tensor {
        let stages = try cascade.diffusionDecoder()
        let text =
            try stages.stageB.description().readsText
            ? stages.textEncoder().encode(captions, negatives: captions.map { _ in "" }) : nil
        let seeds = captions.indices.map { seed &+ 1_000_000 &+ UInt64($0) }
        var sampler = try stages.stageB().sampler(
            latent, text: text, noise: SeededNoise(seeds: seeds), options: stageB)
        while try sampler.next() != nil {}
        return try stages.stageA().pixels(of: ImageLatent(values: sampler.latent))
    }
}
