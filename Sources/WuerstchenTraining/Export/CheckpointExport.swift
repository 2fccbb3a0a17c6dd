public import Foundation
public import TensorCore
public import Wuerstchen

/// Writes trained parts in the published layout: folders that ``Cascade`` and diffusers load.
public struct CheckpointExport: Sendable {
    /// The checkpoint's folder.
    public let folder: URL

    /// A checkpoint in a folder, which is made when something is written.
    public init(to folder: URL) {
        self.folder = folder
    }

    /// Writes a network with its configuration.
    ///
    /// - Parameters:
    ///   - parameters: The parameters under their published names.
    ///   - configuration: What goes to `config.json`.
    ///   - part: The part's folder, such as `wuerstchen/vqgan`.
    ///   - stem: The name of the weights' file.
    ///   - metadata: What else the weights' file says about itself.
    ///
    /// Weights of other names in the part's folder, which an earlier export left, are removed: a
    /// folder holds one network.
    ///
    /// - Throws: ``WuerstchenError`` with code `unwritableFile`.
    public func write(
        _ parameters: [String: Tensor], _ configuration: some Encodable, to part: String,
        stem: String = "diffusion_pytorch_model", metadata: [String: String] = [:]
    ) throws {
        let directory = try made(part)
        let file = directory.appendingPathComponent("\(stem).safetensors")
        try encode(configuration, to: directory.appendingPathComponent("config.json"))
        try write(parameters, metadata, to: file)
        do {
            for other in try FileManager.default.contentsOfDirectory(
                at: directory, includingPropertiesForKeys: nil)
            where other.pathExtension == "safetensors"
                && other.lastPathComponent != file.lastPathComponent
            {
                try FileManager.default.removeItem(at: other)
            }
        } catch {
            throw WuerstchenError(
                .unwritableFile, "older weights in \(directory.path) cannot be removed",
                underlying: error)
        }
    }

    /// Writes parameters alone, such as a compressor's.
    ///
    /// - Throws: ``WuerstchenError`` with code `unwritableFile`.
    public func write(_ parameters: [String: Tensor], toFile name: String) throws {
        try write(parameters, [:], to: try made("").appendingPathComponent(name))
    }

    /// Writes what belongs to the two pipelines besides their networks.
    ///
    /// - Parameters:
    ///   - space: How semantic latents relate to images.
    ///   - latentScale: Positions of the image latent per position of the semantic latent.
    ///   - side: The side of images that the networks were trained at, in pixels.
    ///   - tokenizer: A folder with the tokenizer's files, copied to both.
    /// - Throws: ``WuerstchenError`` with code `unwritableFile`.
    public func writeIndexes(
        space: SemanticLatentSpace, latentScale: Double, side: Int, tokenizer: URL
    ) throws {
        let shared: [String: any Encodable & Sendable] = [
            "scheduler": ["diffusers", "DDPMWuerstchenScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
        ]
        let prior: [String: any Encodable & Sendable] = [
            "_class_name": "WuerstchenPriorPipeline", "latent_mean": space.scale,
            "latent_std": space.offset, "resolution_multiple": space.pixelsPerPosition,
            "sample_size": side, "prior": ["wuerstchen", "WuerstchenPrior"],
        ]
        let decoder: [String: any Encodable & Sendable] = [
            "_class_name": "WuerstchenDecoderPipeline", "latent_dim_scale": latentScale,
            "decoder": ["wuerstchen", "WuerstchenDiffNeXt"],
            "vqgan": ["wuerstchen", "PaellaVQModel"],
        ]
        for (folder, index) in [("wuerstchen-prior", prior), ("wuerstchen", decoder)] {
            let fields = index.merging(shared) { own, _ in own }
            try encode(
                fields.mapValues { AnyField(value: $0) },
                to: made(folder).appendingPathComponent("model_index.json"))
        }
        for pipeline in ["wuerstchen-prior", "wuerstchen"] {
            try encode(
                ["s": 0.008, "scaler": 1.0],
                to: made("\(pipeline)/scheduler").appendingPathComponent("scheduler_config.json"))
            let target = try made("\(pipeline)/tokenizer")
            for file in try FileManager.default.contentsOfDirectory(
                at: tokenizer, includingPropertiesForKeys: nil)
            {
                try Data(contentsOf: file).write(
                    to: target.appendingPathComponent(file.lastPathComponent), options: .atomic)
            }
        }
    }

    private func write(
        _ parameters: [String: Tensor], _ metadata: [String: String], to file: URL
    ) throws {
        try Safetensors.write(
            parameters.map { name, tensor in
                Safetensors.Source(name: name, elementType: .f16, shape: tensor.shape.array) {
                    write in
                    let halves = tensor.elements.map { Float16($0).bitPattern }
                    try halves.withUnsafeBytes { try write($0) }
                }
            }, metadata: metadata.merging(["format": "pt"]) { $1 }, to: file)
    }

    private func made(_ part: String) throws -> URL {
        let directory = part.isEmpty ? folder : folder.appendingPathComponent(part)
        do {
            try FileManager.default.createDirectory(
                at: directory, withIntermediateDirectories: true)
        } catch {
            throw WuerstchenError(
                .unwritableFile, "the folder \(directory.path) cannot be made", underlying: error)
        }
        return directory
    }

    private func encode(_ value: some Encodable, to file: URL) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        do {
            try encoder.encode(value).write(to: file, options: .atomic)
        } catch {
            throw WuerstchenError(
                .unwritableFile, "\(file.path) cannot be written", underlying: error)
        }
    }
}

/// A value of any kind in an index.
private struct AnyField: Encodable {
    let value: any Encodable & Sendable

    func encode(to encoder: any Encoder) throws { try value.encode(to: encoder) }
}
