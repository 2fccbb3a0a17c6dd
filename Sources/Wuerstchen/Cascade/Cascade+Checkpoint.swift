public import Foundation
internal import TensorCore

extension Cascade {
    /// A cascade from a checkpoint in the published layout: a folder with `wuerstchen-prior/` and
    /// `wuerstchen/` in it, each as diffusers saves it.
    ///
    /// A preview decoder beside the two (`preview.safetensors` or `previewer.safetensors`) is used
    /// where there is one.
    ///
    /// - Parameters:
    ///   - directory: The folder.
    ///   - variant: Which of several variants of the weights to take, such as `fp16`; by default the
    ///     plain one, or the only one there is.
    ///   - memory: Whether all networks stay in memory.
    /// - Throws: ``WuerstchenError`` that names the file, the parameters or the setting at fault.
    public init(
        contentsOf directory: URL, variant: String? = nil, memory: MemoryPolicy = .resident
    ) throws {
        let prior = try CheckpointFolder(
            directory.appendingPathComponent("wuerstchen-prior"), variant: variant)
        let main = try CheckpointFolder(
            directory.appendingPathComponent("wuerstchen"), variant: variant)
        let priorIndex: PriorIndex = try prior.decode("model_index.json")
        let decoderIndex: DecoderIndex = try main.decode("model_index.json")
        let space = SemanticLatentSpace(
            pixelsPerPosition: priorIndex.resolutionMultiple ?? 42.67,
            scale: priorIndex.latentMean ?? 42, offset: priorIndex.latentStd ?? 1)
        try prior.naming("model_index.json") { try space.validate() }
        let scale = decoderIndex.latentScale ?? 10.67
        try main.naming("model_index.json") { try StageB.validate(latentScale: scale) }
        let configuration: StageB.Configuration = try main.decode("decoder/config.json")
        let pixels: StageA.Configuration = try main.decode("vqgan/config.json")
        try main.naming("decoder/config.json") { try configuration.validate() }
        try main.naming("vqgan/config.json") { try pixels.validate() }
        let decoder = DiffusionDecoder(
            textEncoder: try memory.part { try main.textEncoder() },
            stageB: try memory.part { try main.stageB(scale: scale) },
            stageA: try memory.part { try main.stageA() },
            configuration: configuration, latentScale: scale,
            pixelsPerPosition: pixels.patchSize << (pixels.levels - 1))
        self.init(
            name: directory.standardizedFileURL.lastPathComponent,
            textEncoder: try memory.part { try prior.textEncoder() },
            stageC: try memory.part { try prior.stageC(space: space) },
            decoder: decoder,
            previewDecoder: try Cascade.previewDecoder(in: directory), latentSpace: space,
            defaultSize: try Cascade.defaultSize(priorIndex, prior.decode("prior/config.json")))
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
        for name in ["preview.safetensors", "previewer.safetensors"] {
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

/// `scheduler/scheduler_config.json`
private struct SchedulerConfiguration: Decodable {
    let s: Double?
    let scaler: Double?
}

/// One of the two pipelines' folders, as diffusers saves it.
public struct CheckpointFolder: Sendable {
    /// The folder.
    public let url: URL
    /// Which of several variants of the weights to take.
    public let variant: String?

    /// A folder that is there.
    ///
    /// - Throws: ``WuerstchenError`` with code `fileNotFound` when it is not.
    public init(_ url: URL, variant: String? = nil) throws {
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isDirectory),
            isDirectory.boolValue
        else {
            throw WuerstchenError(
                .fileNotFound,
                "\(url.path) is not there or not a folder; a checkpoint is a folder with "
                    + "wuerstchen-prior and wuerstchen in it, each as published on Hugging Face "
                    + "under warp-ai")
        }
        self.url = url
        self.variant = variant
    }

    /// The text encoder, from `text_encoder` and `tokenizer`.
    public func textEncoder<Stage>() throws -> TextEncoder<Stage> {
        try TextEncoder(
            tokenizer: CLIPTokenizer(contentsOf: url.appendingPathComponent("tokenizer")),
            model: naming("text_encoder/config.json") {
                try CLIPTextModel(
                    configuration: decode("text_encoder/config.json"),
                    parameters: parameters("text_encoder", stem: "model"))
            })
    }

    /// Stage C, from `prior`.
    public func stageC(space: SemanticLatentSpace) throws -> StageC {
        let schedule = try schedule()
        return try naming("prior/config.json") {
            try StageC(
                configuration: decode("prior/config.json"), parameters: parameters("prior"),
                latentSpace: space, schedule: schedule)
        }
    }

    /// Stage B, from `decoder`.
    public func stageB(scale: Double) throws -> StageB {
        let schedule = try schedule()
        return try naming("decoder/config.json") {
            try StageB(
                configuration: decode("decoder/config.json"), parameters: parameters("decoder"),
                latentScale: scale, schedule: schedule)
        }
    }

    /// Stage A, from `vqgan`.
    public func stageA() throws -> StageA {
        try naming("vqgan/config.json") {
            try StageA(configuration: decode("vqgan/config.json"), parameters: parameters("vqgan"))
        }
    }

    /// The noise schedule, from `scheduler`; the published one where there is no such file.
    func schedule() throws -> NoiseSchedule {
        let name = "scheduler/scheduler_config.json"
        guard FileManager.default.fileExists(atPath: url.appendingPathComponent(name).path) else {
            return NoiseSchedule()
        }
        let configuration: SchedulerConfiguration = try decode(name)
        let schedule = NoiseSchedule(
            offset: configuration.s ?? 0.008, scaler: configuration.scaler ?? 1)
        try naming(name) { try schedule.validate() }
        return schedule
    }

    /// Puts the file in front of what is wrong with a configuration.
    fileprivate func naming<Value>(_ name: String, _ make: () throws -> Value) throws -> Value {
        do {
            return try make()
        } catch let error as WuerstchenError where error.code == .invalidConfiguration {
            let file = url.appendingPathComponent(name)
            throw WuerstchenError(error.code, "\(file.path): \(error.message)")
        }
    }

    private func parameters(
        _ part: String, stem: String = "diffusion_pytorch_model"
    ) throws -> CheckpointParameters {
        try CheckpointParameters(
            directory: url.appendingPathComponent(part), stem: stem, variant: variant)
    }

    /// A configuration file.
    ///
    /// - Throws: ``WuerstchenError`` that names the file and the field at fault.
    func decode<Value: Decodable>(_ name: String) throws -> Value {
        try decodeJSON(Value.self, from: url.appendingPathComponent(name))
    }
}

/// Decodes a JSON file.
///
/// - Throws: ``WuerstchenError`` that names the file and the field at fault.
package func decodeJSON<Value: Decodable>(_ type: Value.Type, from file: URL) throws -> Value {
    guard FileManager.default.fileExists(atPath: file.path) else {
        throw WuerstchenError(
            .fileNotFound, "\(file.path) is not there; a checkpoint needs this configuration file")
    }
    let data: Data
    do {
        data = try Data(contentsOf: file)
    } catch {
        throw WuerstchenError(.unreadableFile, "\(file.path) cannot be read", underlying: error)
    }
    do {
        return try JSONDecoder().decode(type, from: data)
    } catch let error as DecodingError {
        throw WuerstchenError(.malformedFile, "\(file.path): \(error.explanation)")
    }
}

extension DecodingError {
    /// The field at fault and what is wrong with it.
    fileprivate var explanation: String {
        func path(_ context: Context) -> String {
            let names = context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }
            return names.isEmpty ? "the file" : names.joined(separator: ".")
        }
        switch self {
        case .keyNotFound(let key, _): return "\(key.stringValue) is missing"
        case .typeMismatch(let type, let context): return "\(path(context)) is not of type \(type)"
        case .valueNotFound(let type, let context):
            return "\(path(context)) is null where a \(type) is needed"
        case .dataCorrupted(let context):
            return "\(path(context)) is not valid: \(context.debugDescription)"
        @unknown default: return "\(self)"
        }
    }
}
