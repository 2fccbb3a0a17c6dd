public import Foundation
public import TensorCore
public import WuerstchenNN

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
    /// The precision that networks are loaded at.
    public let precision: Precision
    /// Folders in place of some of the parts'.
    private let replacements: [String: URL]

    /// A folder that is there.
    ///
    /// - Parameters:
    ///   - url: The folder.
    ///   - variant: Which of several variants of the weights to take.
    ///   - precision: The precision that networks are loaded at.
    ///   - replacements: Folders in place of some of the parts', such as that of a distilled student in
    ///     place of `prior`.
    /// - Throws: ``WuerstchenError`` with code `fileNotFound` when it is not.
    public init(
        _ url: URL, variant: String? = nil, precision: Precision = .float32,
        replacing replacements: [String: URL] = [:]
    ) throws {
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
        self.precision = precision
        self.replacements = replacements
    }

    /// Where a file or folder of a part is.
    private func location(_ name: String) -> URL {
        let parts = name.split(separator: "/", maxSplits: 1)
        guard let first = parts.first, let folder = replacements[String(first)] else {
            return url.appendingPathComponent(name)
        }
        return parts.count > 1 ? folder.appendingPathComponent(String(parts[1])) : folder
    }

    /// The text encoder, from `text_encoder` and `tokenizer`.
    public func textEncoder<Stage>() throws -> TextEncoder<Stage> {
        try TextEncoder(
            tokenizer: CLIPTokenizer(contentsOf: url.appendingPathComponent("tokenizer")),
            model: naming("text_encoder/config.json") {
                try CLIPTextModel(
                    configuration: decode("text_encoder/config.json"),
                    parameters: parameters("text_encoder"), precision: precision)
            })
    }

    /// Stage C, from `prior`.
    public func stageC(space: SemanticLatentSpace) throws -> StageC {
        let schedule = try schedule()
        return try naming("prior/config.json") {
            try StageC(
                configuration: decode("prior/config.json"), parameters: parameters("prior"),
                precision: precision, latentSpace: space, schedule: schedule)
        }
    }

    /// Stage B, from `decoder`.
    public func stageB(scale: Double) throws -> StageB {
        let schedule = try schedule()
        return try naming("decoder/config.json") {
            try StageB(
                configuration: decode("decoder/config.json"), parameters: parameters("decoder"),
                precision: precision, latentScale: scale, schedule: schedule)
        }
    }

    /// Stage A, from `vqgan`.
    public func stageA() throws -> StageA {
        try naming("vqgan/config.json") {
            try StageA(
                configuration: decode("vqgan/config.json"), parameters: parameters("vqgan"),
                precision: precision)
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
    func naming<Value>(_ name: String, _ make: () throws -> Value) throws -> Value {
        do {
            return try make()
        } catch let error as WuerstchenError where error.code == .invalidConfiguration {
            throw WuerstchenError(error.code, "\(location(name).path): \(error.message)")
        }
    }

    /// Opens the tokenizer and the weights of some parts, which checks that they are there and
    /// complete.
    func checkWeights(_ parts: [String]) throws {
        _ = try CLIPTokenizer(contentsOf: url.appendingPathComponent("tokenizer"))
        _ = try schedule()
        for part in parts { _ = try parameters(part) }
    }

    private func parameters(_ part: String) throws -> CheckpointParameters {
        let stem = part == "text_encoder" ? "model" : "diffusion_pytorch_model"
        let own = url.appendingPathComponent(part)
        guard let replacement = replacements[part] else {
            return try CheckpointParameters(directory: own, stem: stem, variant: variant)
        }
        return try CheckpointFolder.parameters(of: replacement, over: own)
    }

    /// The parameters of a stage in a folder of its own: all of them, or, where the folder has a
    /// `differences.safetensors`, those that differ from another's.
    ///
    /// - Parameters:
    ///   - folder: The stage's folder.
    ///   - base: The folder of the stage that it differs from.
    /// - Returns: The parameters.
    /// - Throws: ``WuerstchenError`` when weights are missing or damaged, or when differences are those
    ///   from other weights.
    public static func parameters(
        of folder: URL, over base: URL
    ) throws -> CheckpointParameters {
        let stem = "diffusion_pytorch_model"
        let differences = folder.appendingPathComponent("differences.safetensors")
        guard FileManager.default.fileExists(atPath: differences.path) else {
            return try CheckpointParameters(directory: folder, stem: stem)
        }
        let digest = try weightsDigest(of: base)
        guard try Safetensors(contentsOf: differences).metadata["base"] == digest else {
            throw WuerstchenError(
                .incompatibleParameters,
                "\(differences.path) holds the differences from other weights than those in "
                    + "\(base.path) (\(digest)); use it with the checkpoint that it was made from")
        }
        return try CheckpointParameters(contentsOf: differences)
            .merging(over: CheckpointParameters(directory: base, stem: stem))
    }

    /// A configuration file.
    ///
    /// - Throws: ``WuerstchenError`` that names the file and the field at fault.
    func decode<Value: Decodable>(_ name: String) throws -> Value {
        try decodeJSON(Value.self, from: location(name))
    }
}
