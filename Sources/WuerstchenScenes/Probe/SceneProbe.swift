public import Foundation
public import TensorCore
internal import Wuerstchen
public import WuerstchenNN
public import WuerstchenTraining

/// Reads an image of a drawn scene back: what it shows, attribute by attribute.
///
/// A small convolutional network at 128×128. Images that a cascade makes are judged by it: how many
/// of a caption's attributes are there, and how far their features are from those of true images.
public struct SceneProbe: Sendable {
    /// The number of features of an image.
    public static let featureCount = 128
    private static let side = 128
    private static let widths = [48, 96, 160, 192]
    private static let lastWidth = 64

    private let levels: [(downsampler: Convolution, block: ResidualBlock)]
    private let narrow: Linear
    private let features: Linear
    private let heads: AttributeHeads

    /// A probe with the given parameters.
    ///
    /// - Throws: `WuerstchenError` when parameters are missing, surplus or misshapen, or when
    ///   OpenBLAS is not installed.
    public init(_ source: any ParameterSource, precision: Precision = .float32) throws {
        _ = try BLAS.load()
        let positions = SceneProbe.side / 32
        (levels, narrow, features, heads) = try Parameters.load(
            from: source, precision: precision
        ) { root in
            var inputs = 3
            let levels = try SceneProbe.widths.enumerated().map { index, width in
                let patch = index == 0 ? 4 : 2
                defer { inputs = width }
                return (
                    try Convolution(
                        root["levels"][index]["down"], inputs, width, kernel: patch, stride: patch),
                    try ResidualBlock(root["levels"][index]["block"], channels: width)
                )
            }
            return (
                levels, try Linear(root["narrow"], inputs, SceneProbe.lastWidth),
                try Linear(
                    root.float32["features"], positions * positions * SceneProbe.lastWidth,
                    SceneProbe.featureCount),
                try AttributeHeads(root["heads"], features: SceneProbe.featureCount)
            )
        }
    }

    /// A probe from a safetensors file.
    ///
    /// - Throws: `WuerstchenError` when the file cannot be read or holds something else.
    public init(contentsOf file: URL) throws {
        try self.init(CheckpointParameters(contentsOf: file))
    }

    /// The probe that ships in the package, trained by ``MiniatureRecipe``.
    ///
    /// - Throws: `WuerstchenError` with code `fileNotFound` when the package's resources are not
    ///   where its executables are.
    public static func shipped() throws -> SceneProbe {
        try SceneProbe(
            contentsOf: ShippedFiles.folder("Probe/probe.safetensors", of: "WuerstchenScenes")
        )
    }

    /// What an image looks like to the probe.
    ///
    /// - Parameter images: `[batch, height, width, 3]`, 0…1, of any size.
    /// - Returns: `[batch, 128]`.
    public func features(of images: Tensor) -> Tensor {
        var y = images.resized(
            rows: .antialiasedBilinear(from: images.shape[1], to: SceneProbe.side),
            columns: .antialiasedBilinear(from: images.shape[2], to: SceneProbe.side)
        ).scaled(by: 4, shift: -2)
        for (index, level) in levels.enumerated() {
            y = level.block(level.downsampler(index == 0 ? y : y.layerNormalized()))
        }
        let narrowed = narrow(y.layerNormalized())
        let batch = images.shape[0]
        return features(
            narrowed.reshaped(to: [batch, 1, narrowed.count / max(1, batch)]), .gelu
        ).reshaped(to: [batch, SceneProbe.featureCount])
    }

    /// The class of each attribute, by its raw value, for each image.
    public func classes(ofFeatures features: Tensor) -> [[Int]] {
        let found = heads(features).map { $0.largestChannels() }
        return (0..<features.shape[0]).map { image in found.map { $0[image] } }
    }

    /// The loss of the probe's answers and the share of right ones; see ``AttributeHeads``.
    func loss(_ features: Tensor, _ classes: [[Int?]]) -> (loss: Tensor, accuracy: Float) {
        heads.loss(features, classes)
    }
}

/// The probe, learnt from drawn scenes.
///
/// Two thirds of the images are blurred, and some noise is added: what a cascade makes is never
/// quite as crisp as a drawing, and should be judged by what it shows.
public struct ProbeObjective: TrainingObjective {
    /// The part's name.
    public let name = "probe"
    /// The images.
    public var images: any ImageSource & SceneLabelSource

    /// An objective, learnt from labelled images.
    public init(images: any ImageSource & SceneLabelSource) {
        self.images = images
    }

    /// The probe's parameters.
    public func initialParameters(seed: UInt64) throws -> TrainableParameters {
        var parameters = TrainableParameters()
        try parameters.add("probe", from: InitialParameters(seed: seed)) {
            _ = try SceneProbe($0)
        }
        return parameters
    }

    /// The loss of a batch.
    public func loss(_ parameters: StepParameters, _ step: TrainingStep) throws -> TrainingLoss {
        var random = step.random
        let batch = try images.batch(step.batch, count: step.batchSize)
        var seen = batch.pixels
        if random.uniform() < 2.0 / 3 {
            let side = 40 + random.integer(below: 100)
            seen = seen.resized(
                rows: .antialiasedBilinear(from: seen.shape[1], to: side),
                columns: .antialiasedBilinear(from: seen.shape[2], to: side))
        }
        seen = Tensor.combine(1, seen, random.uniform(0..<0.04), random.normal(seen.shape))
        let probe = try SceneProbe(parameters.source("probe"), precision: step.precision)
        let labels = images.labels(step.batch, count: step.batchSize)
        let (loss, accuracy) = probe.loss(probe.features(of: seen), labels.map(\.visible))
        return TrainingLoss(loss, metrics: ["accuracy": accuracy])
    }
}
