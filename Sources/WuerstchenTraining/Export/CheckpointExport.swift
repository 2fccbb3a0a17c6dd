public import Foundation
public import TensorCore
public import Wuerstchen
public import WuerstchenNN

/// Writes trained parts in the published layout: folders that `Cascade` and diffusers load.
public struct CheckpointExport: Sendable {
    /// The checkpoint's folder.
    public let folder: URL
    /// The numbers that weights are stored as.
    public let elementType: WeightElementType
    /// What the headers of weights say besides, for whoever wants to know where they are from.
    public let metadata: [String: String]
    private var layout: CheckpointLayout { .published }

    /// A checkpoint in a folder, which is made when something is written.
    public init(
        to folder: URL, elementType: WeightElementType = .float16, metadata: [String: String] = [:]
    ) {
        self.folder = folder
        self.elementType = elementType
        self.metadata = metadata
    }

    /// Fills a folder that is new or empty, and leaves it so where that fails.
    ///
    /// - Parameters:
    ///   - folder: The folder, which is made if it is not there.
    ///   - replaces: Whether it may have something in it, which then stays also after an error.
    ///   - write: Writes into it.
    /// - Throws: `WuerstchenError` with code `unwritableFile` for a folder that has something in
    ///   it, before anything is written; and what writing throws.
    public static func fill(
        _ folder: URL, replaces: Bool = false, _ write: () throws -> Void
    ) throws {
        let files = FileManager.default
        let inside = try? files.contentsOfDirectory(atPath: folder.path)
        let isEmpty = inside?.isEmpty ?? true
        guard replaces || isEmpty else {
            throw WuerstchenError(
                .unwritableFile,
                "\(folder.path) is there already and not empty; choose another folder, or overwrite "
                    + "it with --force")
        }
        try makeFolder(folder)
        do {
            try write()
        } catch {
            if isEmpty {
                for name in (try? files.contentsOfDirectory(atPath: folder.path)) ?? [] {
                    try? files.removeItem(at: folder.appendingPathComponent(name))
                }
                if inside == nil { try? files.removeItem(at: folder) }
            }
            throw error
        }
    }

    /// Writes a network with its configuration. Weights of other names in its folder, which an
    /// earlier export left, are removed: a folder holds one network.
    ///
    /// - Parameters:
    ///   - parameters: The parameters under their published names.
    ///   - configuration: What goes to `config.json`.
    ///   - network: Where the network lies, such as `\.stageA`.
    ///   - textEncoders: For a stage that reads text, the folders that hold its text encoder; they
    ///     are noted, so that the stage does not stand in where there is another. None for others.
    /// - Throws: `WuerstchenError` with code `unwritableFile`, or `notFinite` for an element that
    ///   the element type cannot hold, which names the tensor and leaves what was there.
    public func write(
        _ parameters: [String: Tensor], _ configuration: some Encodable,
        to network: KeyPath<CheckpointLayout, CheckpointLayout.Network>,
        textEncoders: [URL] = []
    ) throws {
        let network = layout[keyPath: network]
        try NetworkFolder(folder.appendingPathComponent(network.path)).write(
            sources(parameters), configuration, stem: network.stem,
            metadata: metadata.merging(StudentFolder.metadata(textEncoders: textEncoders)) { $1 })
    }

    /// The folder of a network.
    public func url(of network: KeyPath<CheckpointLayout, CheckpointLayout.Network>) -> URL {
        folder.appendingPathComponent(layout[keyPath: network].path)
    }

    /// Writes a network whose parameters a source makes up, one at a time, so that no more than one
    /// need be in memory.
    ///
    /// - Parameters:
    ///   - source: Where the parameters come from.
    ///   - configuration: What goes to `config.json`.
    ///   - network: Where the network lies, such as `\.stageA`.
    ///   - build: Builds the network, which says what parameters there are.
    /// - Returns: The number of elements.
    /// - Throws: As ``write(_:_:to:textEncoders:)``, and what the source and building throw.
    @discardableResult
    public func write(
        from source: any ParameterSource, _ configuration: some Encodable,
        to network: KeyPath<CheckpointLayout, CheckpointLayout.Network>,
        _ build: (any ParameterSource) throws -> Void
    ) throws -> Int {
        let requests = try ParameterRequest.all(of: build)
        let network = layout[keyPath: network]
        let sources = requests.map { request in
            elementType.source(request.name, request.shape) {
                guard case .found(let tensor) = try source.parameter(request) else {
                    throw WuerstchenError(
                        .incompatibleParameters,
                        "\(source.origin) has no \(request.name) \(request.shape)")
                }
                return tensor
            }
        }
        try NetworkFolder(folder.appendingPathComponent(network.path))
            .write(sources, configuration, stem: network.stem, metadata: metadata)
        return requests.reduce(0) { $0 + $1.shape.count }
    }

    /// Writes parameters alone, such as a compressor's.
    ///
    /// - Throws: As ``write(_:_:to:textEncoders:)``.
    public func write(_ parameters: [String: Tensor], toFile name: String) throws {
        try makeFolder(folder)
        try Safetensors.write(
            sources(parameters), metadata: metadata.merging(["format": "pt"]) { $1 },
            to: folder.appendingPathComponent(name))
    }

    private func sources(_ parameters: [String: Tensor]) -> [Safetensors.Source] {
        parameters.map { name, tensor in elementType.source(name, tensor.shape) { tensor } }
    }

    /// Writes what belongs to the pipeline from text to semantic latents besides its networks and
    /// its tokenizer.
    ///
    /// - Parameters:
    ///   - space: How semantic latents relate to images.
    ///   - side: The side of images that the networks were trained at, in pixels.
    ///   - schedule: The noise schedule that Stage C was trained with.
    /// - Throws: `WuerstchenError` with code `unwritableFile`.
    public func writePriorIndex(
        space: SemanticLatentSpace, side: Int, schedule: NoiseSchedule
    ) throws {
        try writeIndex(prior(space, side), schedule, to: layout.prior)
    }

    private typealias Fields = [String: any Encodable & Sendable]

    private func prior(_ space: SemanticLatentSpace, _ side: Int) -> Fields {
        [
            "_class_name": "WuerstchenPriorPipeline", "latent_mean": space.scale,
            "latent_std": space.offset, "resolution_multiple": space.pixelsPerPosition,
            "sample_size": side, layout.stageC.folder: ["wuerstchen", "WuerstchenPrior"],
        ]
    }

    /// Writes what belongs to the pipeline from semantic latents to images besides its networks and
    /// its tokenizer.
    ///
    /// - Parameters:
    ///   - space: How semantic latents relate to Stage B's.
    ///   - schedule: The noise schedule that Stage B was trained with.
    /// - Throws: `WuerstchenError` with code `unwritableFile`.
    public func writeDecoderIndex(space: SemanticLatentSpace, schedule: NoiseSchedule) throws {
        try writeIndex(main(space), schedule, to: layout.decoder)
    }

    private func main(_ space: SemanticLatentSpace) -> Fields {
        [
            "_class_name": "WuerstchenDecoderPipeline",
            "latent_dim_scale": space.latentsPerPosition,
            layout.stageB.folder: ["wuerstchen", "WuerstchenDiffNeXt"],
            layout.stageA.folder: ["wuerstchen", "PaellaVQModel"],
        ]
    }

    /// Writes what belongs to both pipelines in one folder besides networks and tokenizers.
    /// diffusers passes over the numbers, which have no place in its combined pipeline.
    ///
    /// - Parameters:
    ///   - space: How semantic latents relate to images and to Stage B's latents.
    ///   - side: The side of images that the networks were trained at, in pixels.
    ///   - schedules: The noise schedules of Stages C and B.
    /// - Throws: `WuerstchenError` with code `unwritableFile`.
    func writeCombinedIndex(
        space: SemanticLatentSpace, side: Int,
        schedules: (prior: NoiseSchedule, decoder: NoiseSchedule)
    ) throws {
        let prefix = "prior_"
        var fields = prior(space, side).merging(main(space)) { $1 }
        fields["_class_name"] = "WuerstchenCombinedPipeline"
        for (name, value) in shared {
            (fields[name], fields[prefix + name]) = (value, value)
        }
        fields[prefix + layout.stageC.folder] = fields.removeValue(forKey: layout.stageC.folder)
        try write(fields, to: folder)
        try write(schedules.decoder, to: folder.appendingPathComponent(layout.scheduler))
        try write(
            schedules.prior, to: folder.appendingPathComponent(prefix + layout.scheduler))
    }

    /// Copies a tokenizer's files to a pipeline.
    ///
    /// - Parameters:
    ///   - tokenizer: The folder with the files.
    ///   - pipeline: The pipeline, such as `\.prior`.
    /// - Throws: `WuerstchenError` with code `unwritableFile`.
    public func copyTokenizer(
        _ tokenizer: URL, to pipeline: KeyPath<CheckpointLayout, String>
    ) throws {
        let target = folder.appendingPathComponent(
            "\(layout[keyPath: pipeline])/\(layout.tokenizer)")
        try copyFiles(of: tokenizer, to: target)
    }

    /// What both pipelines have.
    private var shared: Fields {
        [
            layout.scheduler: ["diffusers", "DDPMWuerstchenScheduler"],
            layout.priorTextEncoder.folder: ["transformers", "CLIPTextModel"],
            layout.tokenizer: ["transformers", "CLIPTokenizer"],
        ]
    }

    private func writeIndex(
        _ own: Fields, _ schedule: NoiseSchedule, to pipeline: String
    ) throws {
        let target = folder.appendingPathComponent(pipeline)
        try write(own.merging(shared) { own, _ in own }, to: target)
        try write(schedule, to: target.appendingPathComponent(layout.scheduler))
    }

    private func write(_ fields: Fields, to target: URL) throws {
        try makeFolder(target)
        try encodeJSON(
            fields.mapValues { AnyField(value: $0) },
            to: target.appendingPathComponent(layout.index))
    }

    private func write(_ schedule: NoiseSchedule, to target: URL) throws {
        try makeFolder(target)
        try encodeJSON(
            ["s": schedule.offset, "scaler": schedule.scaler],
            to: target.appendingPathComponent(layout.schedulerConfiguration))
    }
}

/// A value of any kind in an index.
private struct AnyField: Encodable {
    let value: any Encodable & Sendable

    func encode(to encoder: any Encoder) throws { try value.encode(to: encoder) }
}

/// Copies the files of a folder, such as a tokenizer's, to another, which is made if it is not
/// there.
///
/// - Throws: `WuerstchenError` with code `unwritableFile`.
func copyFiles(of folder: URL, to target: URL) throws {
    try makeFolder(target)
    do {
        for file in try FileManager.default.contentsOfDirectory(
            at: folder, includingPropertiesForKeys: nil)
        {
            try AtomicFile.replace(
                target.appendingPathComponent(file.lastPathComponent),
                with: Data(contentsOf: file))
        }
    } catch {
        throw WuerstchenError(
            .unwritableFile, "\(folder.path) cannot be copied to \(target.path)",
            underlying: error)
    }
}
