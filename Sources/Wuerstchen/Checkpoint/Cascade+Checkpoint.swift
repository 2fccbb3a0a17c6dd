public import Foundation
public import TensorCore

extension Cascade {
    /// A cascade from a checkpoint in the published layout: a folder with `wuerstchen-prior/` and
    /// `wuerstchen/` in it, each as diffusers saves it.
    ///
    /// A preview decoder beside the two (`preview.safetensors` or `previewer.safetensors`) is used
    /// where there is one.
    ///
    /// - Parameters:
    ///   - directory: The folder.
    ///   - variant: Which of several variants of the weights to take, such as `fp16`; by default
    ///     the plain one, or the only one there is.
    ///   - precision: The numbers that the large matrices are stored in and multiplied with; the
    ///     preview decoder has its own, ``PreviewDecoder/standardPrecision``.
    ///   - memory: Whether all networks stay in memory.
    ///   - replacements: Folders of stages to take in place of the checkpoint's.
    /// - Throws: ``WuerstchenError`` that names the file, the parameters or the setting at fault.
    public init(
        contentsOf directory: URL, variant: String? = nil, precision: Precision = .float32,
        memory: MemoryPolicy = .resident, replacing replacements: StageFolders = StageFolders()
    ) throws {
        let layout = CheckpointLayout.published
        let prior = try CheckpointFolder(
            directory.appendingPathComponent(layout.prior), variant: variant,
            precision: precision, replacing: replacements.inPrior)
        let main = try CheckpointFolder(
            directory.appendingPathComponent(layout.decoder), variant: variant,
            precision: precision, replacing: replacements.inMain)
        let priorIndex: PriorIndex = try prior.decode(layout.index)
        let decoderIndex: DecoderIndex = try main.decode(layout.index)
        let space = SemanticLatentSpace(
            pixelsPerPosition: priorIndex.resolutionMultiple ?? 42.67,
            scale: priorIndex.latentMean ?? 42, offset: priorIndex.latentStd ?? 1)
        try prior.naming(layout.index) { try space.validate() }
        let scale = decoderIndex.latentScale ?? 10.67
        try main.naming(layout.index) { try StageB.validate(latentScale: scale) }
        let configuration: StageB.Configuration = try main.decode(main.configuration(layout.stageB))
        let priorConfiguration: StageC.Configuration = try prior.decode(
            prior.configuration(layout.stageC))
        let pixels: StageA.Configuration = try main.decode(main.configuration(layout.stageA))
        try main.naming(main.configuration(layout.stageB)) { try configuration.validate() }
        try prior.naming(prior.configuration(layout.stageC)) { try priorConfiguration.validate() }
        try main.naming(main.configuration(layout.stageA)) { try pixels.validate() }
        if memory == .sequential {
            // Damage should show before the first stage has run, not after.
            try prior.checkWeights([layout.stageC, layout.priorTextEncoder])
            try main.checkWeights(
                [layout.stageB, layout.stageA]
                    + (configuration.hasAttention ? [layout.decoderTextEncoder] : []))
        }
        let decoder = DiffusionDecoder(
            // In memory only for a stage that reads text.
            textEncoder: try (configuration.hasAttention ? memory : .sequential).part {
                try main.textEncoder()
            },
            stageB: try memory.part(
                StageB.description(of: configuration, schedule: main.schedule())
            ) {
                try main.stageB(configuration, scale: scale)
            },
            stageA: try memory.part { try main.stageA(pixels) },
            configuration: configuration, latentScale: scale,
            pixelsPerPosition: pixels.patchSize << (pixels.levels - 1))
        self.init(
            name: Cascade.name(of: directory, replacements),
            textEncoder: try memory.part { try prior.textEncoder() },
            stageC: try memory.part(
                StageC.description(of: priorConfiguration, schedule: prior.schedule())
            ) {
                try prior.stageC(priorConfiguration, space: space)
            },
            decoder: decoder,
            previewDecoder: try Cascade.previewDecoder(in: directory), latentSpace: space,
            defaultSize: try Cascade.defaultSize(priorIndex, priorConfiguration))
    }

    /// The checkpoint's name, with those of stages that stand in for its own.
    private static func name(of directory: URL, _ replacements: StageFolders) -> String {
        func last(_ url: URL, _ count: Int) -> String {
            url.standardizedFileURL.pathComponents.suffix(count).joined(separator: "/")
        }
        return ([last(directory, 1)] + replacements.all.map { last($0, 2) }).joined(
            separator: " with ")
    }

    /// What the checkpoint says (`sample_size` in the prior's `model_index.json`), or what networks
    /// of the published width were trained at, and small ones are.
    private static func defaultSize(
        _ index: PriorIndex, _ configuration: StageC.Configuration
    ) throws -> ImageSize {
        let side = index.sampleSize ?? (configuration.channels >= 1024 ? 1024 : 256)
        guard ImageSize.range.contains(side) else {
            throw WuerstchenError(
                .invalidConfiguration,
                "sample_size in the prior's model_index.json is \(side); it must be from "
                    + "\(ImageSize.range.lowerBound) to \(ImageSize.range.upperBound)")
        }
        return ImageSize(width: side, height: side)
    }

    private static func previewDecoder(in directory: URL) throws -> PreviewDecoder {
        for name in CheckpointLayout.published.previews {
            let file = directory.appendingPathComponent(name)
            if FileManager.default.fileExists(atPath: file.path) {
                return try PreviewDecoder(contentsOf: file)
            }
        }
        return PreviewDecoder()
    }
}

extension MemoryPolicy {
    fileprivate func part<Value>(
        _ load: @escaping @Sendable () throws -> Value
    ) throws -> Part<Value> {
        switch self {
        case .resident: Part(try load())
        case .sequential: Part(loadingEachTime: load)
        }
    }

    fileprivate func part<Stage: DiffusionStage>(
        _ description: StageDescription, _ load: @escaping @Sendable () throws -> Stage
    ) throws -> Part<Stage> {
        switch self {
        case .resident: Part(try load())
        case .sequential: Part(describedBy: description, loadingEachTime: load)
        }
    }
}

/// `wuerstchen-prior/model_index.json`
private struct PriorIndex: Decodable {
    let latentMean: Float?
    let latentStd: Float?
    let resolutionMultiple: Double?
    let sampleSize: Int?

    enum CodingKeys: String, CodingKey {
        case latentMean = "latent_mean"
        case latentStd = "latent_std"
        case resolutionMultiple = "resolution_multiple"
        case sampleSize = "sample_size"
    }
}

/// `wuerstchen/model_index.json`
private struct DecoderIndex: Decodable {
    let latentScale: Double?

    enum CodingKeys: String, CodingKey {
        case latentScale = "latent_dim_scale"
    }
}
