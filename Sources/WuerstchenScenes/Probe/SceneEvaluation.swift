public import TensorCore
private import Wuerstchen
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

/// Puts the parts of a cascade, one after the other, before a probe.
public struct CascadeEvaluation: Sendable {
    /// The parts.
    public var gates: CascadeGates
    /// The probe.
    public var probe: SceneProbe
    /// Held-out scenes and their captions.
    public var images: SceneImages
    /// Images that are made at a time.
    public var batchSize = 16

    /// An evaluation of a cascade.
    public init(_ gates: CascadeGates, probe: SceneProbe, seed: UInt64 = 5000) {
        self.gates = gates
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

    /// Makes a process's share of what a gate is measured with, as far as it is not there, to be
    /// kept in `CascadeGates.kept`.
    ///
    /// - Parameters:
    ///   - gate: Which parts.
    ///   - count: How many images, rounded up to whole batches.
    ///   - process: Which process this is.
    ///   - progress: Called after each batch with the number of images done.
    /// - Throws: As ``run(_:count:against:progress:)``.
    public func make(
        _ gate: CascadeGates.Gate, count: Int, by process: ProcessRank,
        progress: (Int) -> Void = { _ in }
    ) throws {
        for number in 0..<(count + batchSize - 1) / batchSize
        where process.takes(number) && !gates.has(gate, seed: UInt64(number * batchSize)) {
            try Task.checkCancellation()
            let batch = images.batch(number, count: batchSize)
            _ = try gates.make(gate, batch, seed: UInt64(number * batchSize))
            progress((number + 1) * batchSize)
        }
    }

    /// Whether all that a gate is measured with has been made and kept.
    public func isMade(_ gate: CascadeGates.Gate, count: Int) -> Bool {
        stride(from: 0, to: count, by: batchSize).allSatisfy { gates.has(gate, seed: UInt64($0)) }
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
        _ gate: CascadeGates.Gate, count: Int, against truth: SceneEvaluation.Truth,
        progress: (Int, Tensor) throws -> Void = { _, _ in }
    ) throws -> SceneEvaluation {
        let name = gate == .images ? "renders" : gate.rawValue
        var collector = SceneEvaluation.Collector(name, probe: probe)
        for number in 0..<(count + batchSize - 1) / batchSize {
            try Task.checkCancellation()
            let batch = images.batch(number, count: batchSize)
            let labels = images.labels(number, count: batchSize)
            let made = try gates.make(gate, batch, seed: UInt64(number * batchSize))
            try collector.add(
                made, wanted: labels.map { gate.isFromText ? $0.mentioned : $0.visible },
                truth: gate.isFromText || gate == .images
                    ? nil : batch.pixels.resized(toMatch: made))
            try progress((number + 1) * batchSize, made)
        }
        return collector.evaluation(against: truth)
    }
}
