public import TensorCore
public import Wuerstchen

/// Stage A as an autoencoder (van den Oord et al., "Neural Discrete Representation Learning",
/// 2017): reconstruction, codebook and commitment, and, if wanted, a discriminator among the
/// auxiliary losses (Esser et al., "Taming Transformers for High-Resolution Image Synthesis",
/// 2021).
///
/// The published cascade decodes latents that are not quantised, so half of each batch is not
/// either. The codebook begins with the means of clusters of latents, once there are latents worth
/// coding, and codes that are hardly used are put to new places for most of the training.
public struct StageAObjective: ExtendableObjective {
    /// The part's name.
    public let name = "stage-a"
    /// The architecture's numbers.
    public var configuration: StageA.Configuration
    /// The images.
    public var images: any ImageSource
    /// Images that are not learnt from.
    @Incidental public var validationImages: (any ImageSource)? = nil
    /// What is wanted of reconstructions.
    public var reconstruction = ReconstructionLoss(edges: 0.5)
    /// The weight of codebook and commitment.
    public var quantizationWeight: Float = 0.25
    /// The weight of the commitment within that, as published.
    public var commitment: Float = 0.25
    /// Losses beside those, which begin with quantisation, such as
    /// ``AdversarialLoss/patches(weight:start:depth:rate:)``.
    public var auxiliary: [any AuxiliaryLoss<ImitatedImages>] = []
    /// The share of the steps before anything is quantised.
    public var unquantizedShare = 0.04
    /// The share of the steps after which no code is moved any more.
    public var restartShare = 0.7

    private static let usage = "buffer.usage"
    private static let codebook = "stage_a.vquantizer.embedding.weight"

    /// An objective for an architecture, learnt from images.
    public init(configuration: StageA.Configuration, images: any ImageSource) {
        self.configuration = configuration
        self.images = images
    }

    /// Stage A's parameters, a count of how often each code is used, and the auxiliary losses'
    /// parameters.
    public func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try parameters.addStageA(configuration, seed: seed)
        parameters.values[StageAObjective.usage] = Tensor(repeating: 0, [configuration.codes])
        try auxiliary.addInitialParameters(to: &parameters, seed: seed)
        return parameters
    }

    /// Counts and running statistics are not learnt by gradients.
    public func isTrainable(_ name: String) -> Bool {
        !BatchNorm.isStatistic(name) && !name.hasPrefix("buffer.")
    }

    private func quantizes(_ step: TrainingStep) -> Bool {
        step.number >= unquantizedSteps(step.count)
    }

    /// At least one, unless none are wanted: the codebook begins with the latents of the last of
    /// them.
    private func unquantizedSteps(_ count: Int) -> Int {
        unquantizedShare > 0 ? max(1, Int(unquantizedShare * Double(count))) : 0
    }

    /// The loss of a batch.
    public func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        let real = try images.batch(step.batch, count: step.batchSize).pixels
        let stage = try StageA(
            configuration: configuration, parameters: parameters.source("stage_a"),
            precision: step.precision)
        let latents = try stage.encode(real)
        guard quantizes(step) else {
            let decoded = try stage.decode(unscaled: latents)
            return TrainingLoss(
                reconstruction(decoded, real),
                metrics: ["psnr": peakSignalToNoise(decoded.detached(), real)],
                auxiliary: ["latents": latents.detached()])
        }
        let (indices, codes) = stage.quantize(latents)
        // Straight through: the decoder sees codes, and its gradient goes to the latents.
        let coded = latents + (codes - latents).detached()
        let half = step.batchSize / 2
        let decoded = try stage.decode(
            unscaled: Tensor.concatenating([latents[0..<half], coded[half..<step.batchSize]]))
        let book = (codes - latents.detached()).meanSquare()
        let committed = (latents - codes.detached()).meanSquare()
        var used = [Float](repeating: 0, count: configuration.codes)
        for index in indices { used[index] += 1 }
        var loss = TrainingLoss(
            Tensor.combine(
                1, reconstruction(decoded, real), quantizationWeight,
                Tensor.combine(1, book, commitment, committed)),
            metrics: [
                "psnr": peakSignalToNoise(
                    decoded[0..<max(1, half)].detached(), real[0..<max(1, half)]),
                "codes": Float(used.count { $0 > 0 }),
            ],
            auxiliary: [
                "latents": latents.detached(), "usage": Tensor(used, [configuration.codes]),
            ])
        try auxiliary.add(to: &loss, ImitatedImages(real: real, fake: decoded), parameters, step)
        return loss
    }

    /// The same over images that are not learnt from.
    public var validation: StageAObjective? {
        replacing(\.images, by: validationImages) {
            // From the first step on.
            $0.unquantizedShare = 0
            $0.auxiliary = auxiliary.validation()
        }
    }

    /// Images and their reconstructions.
    public func contactSheet(_ parameters: [String: Tensor]) throws -> ContactSheet? {
        let images = try (validationImages ?? images).batch(0, count: 8).pixels
        let stage = try StageA(
            configuration: configuration,
            parameters: StepParameters(fixed: parameters).source("stage_a"))
        let latents = try stage.encode(images)
        var sheet = ContactSheet(title: "Stage A", imageSide: 128)
        try sheet.addRow("images", images)
        try sheet.addRow("decoded", stage.decode(unscaled: latents))
        try sheet.addRow("quantized", stage.decode(unscaled: stage.quantize(latents).quantized))
        return sheet
    }

    /// Begins the codebook, counts its use and moves codes that are not used.
    public func finish(
        _ parameters: inout TrainableParameters, _ step: TrainingStep, _ losses: [TrainingLoss]
    ) throws {
        try auxiliary.finish(&parameters, step)
        let parts = losses.compactMap { $0.auxiliary["latents"] }
        guard !parts.isEmpty else { return }
        let latents = Tensor.concatenating(parts)
        let width = latents.shape.channels
        let points = latents.reshaped(to: [latents.count / width, width])
        var random = step.random
        if step.number + 1 == unquantizedSteps(step.count) {
            parameters.values[StageAObjective.codebook] = clusterMeans(
                of: points, count: configuration.codes, rounds: 10, random: &random)
            parameters.values[StageAObjective.usage] = Tensor(
                repeating: 100, [configuration.codes])
            return
        }
        let used = losses.compactMap { $0.auxiliary["usage"] }
        guard let first = used.first, var usage = parameters.values[StageAObjective.usage]
        else { return }
        usage = Tensor.combine(0.99, usage, 1, used.dropFirst().reduce(first) { $0 + $1 })
        let mayRestart = Double(step.number) < restartShare * Double(step.count)
        if mayRestart, step.number % 200 == 199,
            var codes = parameters.values[StageAObjective.codebook]
        {
            let idle = usage.elements.indices.filter { usage.elements[$0] < 5 }
            codes.withUnsafeMutableElements { codes in
                for code in idle {
                    let row = random.integer(below: points.shape[0])
                    for column in 0..<width {
                        codes[code * width + column] = points[row, column]
                    }
                }
            }
            usage.withUnsafeMutableElements { usage in for code in idle { usage[code] = 100 } }
            parameters.values[StageAObjective.codebook] = codes
        }
        parameters.values[StageAObjective.usage] = usage
    }
}

/// Means of clusters of points (Lloyd, 1982), begun with points drawn at random.
func clusterMeans(
    of points: Tensor, count: Int, rounds: Int, random: inout RandomStream
) -> Tensor {
    let (rows, width) = (points.shape[0], points.shape[1])
    var means = points.embeddingLookup((0..<count).map { _ in random.integer(below: rows) })
    for _ in 0..<rounds {
        let owners = points.nearestRows(of: means)
        var sums = [Float](repeating: 0, count: count * width)
        var counts = [Float](repeating: 0, count: count)
        points.withUnsafeElements { points in
            for row in 0..<rows {
                let owner = Int(owners[row])
                counts[owner] += 1
                for column in 0..<width {
                    sums[owner * width + column] += points[row * width + column]
                }
            }
        }
        means.withUnsafeMutableElements { means in
            for owner in 0..<count where counts[owner] > 0 {
                for column in 0..<width {
                    means[owner * width + column] = sums[owner * width + column] / counts[owner]
                }
            }
        }
    }
    return means
}
