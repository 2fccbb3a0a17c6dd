public import Foundation
public import TensorCore
internal import WuerstchenNN

/// `scheduler/scheduler_config.json`
private struct SchedulerConfiguration: Decodable {
    let s: Double?
    let scaler: Double?

    private enum CodingKeys: String, CodingKey, CaseIterable {
        case s, scaler
    }

    init(from decoder: any Decoder) throws {
        try decoder.requireConfiguration(
            of: "the scheduler", "DDPMWuerstchenScheduler", CodingKeys.self)
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        s = try fields.decodeIfPresent(Double.self, forKey: .s)
        scaler = try fields.decodeIfPresent(Double.self, forKey: .scaler)
    }
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
    /// Where parts lie that are not in a folder of their own name.
    private var places: [String: URL] = [:]
    /// Whether the pipeline's index may be missing.
    private var isOriginal = false
    /// Adapters of networks, by the networks' folders.
    var adapters: [String: NetworkAdapters] = [:]
    /// The same for the record.
    var adapterRecords: [String: [PartWeights.Adapter]] = [:]
    /// Weights whose files are open already, by the networks' folders.
    private var opened: [String: CheckpointParameters] = [:]

    /// A folder that is there.
    ///
    /// - Parameters:
    ///   - url: The folder.
    ///   - variant: Which of several variants of the weights to take; a part that lacks it takes
    ///     its plain weights if another part has it (see ``notes``).
    ///   - precision: The precision that networks are loaded at.
    ///   - replacements: Folders in place of some of the parts', such as that of a distilled
    ///     student in place of `prior`.
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

    /// The same for parts that may lie elsewhere.
    init(
        _ pipeline: CheckpointPlaces.Pipeline, variant: String?, precision: Precision,
        replacing replacements: [String: URL]
    ) throws {
        try self.init(
            pipeline.url, variant: variant, precision: precision, replacing: replacements)
        (places, isOriginal) = (pipeline.parts, pipeline.isOriginal)
    }

    private var layout: CheckpointLayout { .published }

    /// Where a part of the checkpoint's own is: a folder, or an original file of weights.
    private func place(_ part: String) -> URL { places[part] ?? url.appendingPathComponent(part) }

    /// Whether something is there that is no folder.
    static func isFile(_ place: URL) -> Bool {
        var isDirectory: ObjCBool = false
        return FileManager.default.fileExists(atPath: place.path, isDirectory: &isDirectory)
            && !isDirectory.boolValue
    }

    /// The configuration of a network, relative to the folder.
    func configuration(_ network: CheckpointLayout.Network) -> String {
        "\(network.folder)/\(layout.configuration)"
    }

    /// Where a file or folder of a part is.
    func location(_ name: String) -> URL {
        let parts = name.split(separator: "/", maxSplits: 1)
        guard let first = parts.first.map(String.init) else { return url }
        let folder = replacements[first] ?? place(first)
        guard parts.count > 1 else { return folder }
        // What belongs to a file of weights has its name.
        return CheckpointFolder.isFile(folder)
            ? folder.deletingPathExtension().appendingPathExtension("json")
            : folder.appendingPathComponent(String(parts[1]))
    }

    /// The text encoder, from `text_encoder` and `tokenizer`.
    public func textEncoder<Stage>() throws -> TextEncoder<Stage> {
        let name = configuration(layout.priorTextEncoder)
        return try TextEncoder(tokenizer: tokenizer(), model: textModel(decode(name)))
    }

    /// The same of parts that have been read.
    func textEncoder<Stage>(_ text: PipelineText) throws -> TextEncoder<Stage> {
        try TextEncoder(tokenizer: text.tokenizer, model: textModel(text.configuration))
    }

    /// Where the tokenizer's files are.
    var tokenizerFolder: URL { place(layout.tokenizer) }

    func tokenizer() throws -> CLIPTokenizer {
        try CLIPTokenizer(contentsOf: tokenizerFolder)
    }

    func textModel(_ configuration: CLIPTextModel.Configuration) throws -> CLIPTextModel {
        // Text encoders have the same place in both pipelines.
        let network = layout.priorTextEncoder
        return try naming(self.configuration(network)) {
            try CLIPTextModel(
                configuration: configuration, parameters: source(network),
                precision: precision)
        }
    }

    /// Stage C, from `prior`.
    ///
    /// - Parameters:
    ///   - configuration: The architecture, if it has been read; otherwise `config.json` says it.
    ///   - space: How the latents relate to images.
    /// - Returns: Stage C.
    /// - Throws: ``WuerstchenError`` that names the file or the parameters at fault.
    public func stageC(
        _ configuration: StageC.Configuration? = nil, space: SemanticLatentSpace
    ) throws -> StageC {
        try stage(layout.stageC, configuration, space)
    }

    /// Stage B, from `decoder`.
    ///
    /// - Parameters:
    ///   - configuration: The architecture, if it has been read; otherwise `config.json` says it.
    ///   - space: How semantic latents relate to Stage B's.
    /// - Returns: Stage B.
    /// - Throws: ``WuerstchenError`` that names the file or the parameters at fault.
    public func stageB(
        _ configuration: StageB.Configuration? = nil, space: SemanticLatentSpace
    ) throws -> StageB {
        try stage(layout.stageB, configuration, space)
    }

    private func stage<Stage: TrainableStage>(
        _ network: CheckpointLayout.Network, _ configuration: Stage.Configuration?,
        _ space: SemanticLatentSpace
    ) throws -> Stage {
        let schedule = try schedule()
        return try naming(self.configuration(network)) {
            try Stage(
                configuration: configuration ?? decode(self.configuration(network)),
                parameters: source(network), precision: precision, latentSpace: space,
                schedule: schedule)
        }
    }

    /// Stage A, from `vqgan`.
    ///
    /// - Parameter configuration: The architecture, if it has been read; otherwise `config.json`
    ///   says it.
    /// - Returns: Stage A.
    /// - Throws: ``WuerstchenError`` that names the file or the parameters at fault.
    public func stageA(_ configuration: StageA.Configuration? = nil) throws -> StageA {
        try naming(self.configuration(layout.stageA)) {
            try StageA(
                configuration: configuration ?? decode(self.configuration(layout.stageA)),
                parameters: parameters(layout.stageA), precision: precision)
        }
    }

    /// The noise schedule, from `scheduler`; the published one where there is no such file.
    func schedule() throws -> NoiseSchedule {
        let name = "\(layout.scheduler)/\(layout.schedulerConfiguration)"
        let file = location(name)
        guard let data = try readSmallFile(file) else { return NoiseSchedule() }
        let configuration = try decodeJSON(
            SchedulerConfiguration.self, data, name: file.path)
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
            let path = location(name).path
            guard !error.message.hasPrefix(path) else { throw error }
            throw WuerstchenError(error.code, "\(path): \(error.message)")
        }
    }

    /// Opens the files of a network's weights, for all uses of this value.
    mutating func open(_ network: CheckpointLayout.Network) throws {
        opened[network.folder] = try parameters(network)
    }

    /// The same folder, its files opened anew for each use: nothing of networks that come and go
    /// stays.
    var reopening: CheckpointFolder {
        var result = self
        result.opened = [:]
        return result
    }

    /// The same folder with networks that can be built and not run, in no time: of what is open
    /// only names, shapes and types are looked at.
    var withoutValues: CheckpointFolder {
        var result = self
        result.opened = opened.mapValues(\.withoutValues)
        return result
    }

    /// A network's parameters with its adapters.
    private func source(_ network: CheckpointLayout.Network) throws -> any ParameterSource {
        let parameters = try parameters(network)
        return adapters[network.folder]?.applied(to: parameters) ?? parameters
    }

    /// The fingerprints of the weights that a network is loaded from, and of those that they were
    /// converted from.
    func fingerprints(of network: CheckpointLayout.Network) throws -> [String] {
        try WeightsOrigin.fingerprints(of: replacements[network.folder] ?? place(network.folder))
    }

    /// The parameters of a network, under published names.
    func parameters(_ network: CheckpointLayout.Network) throws -> CheckpointParameters {
        if let open = opened[network.folder] { return open }
        let own = place(network.folder)
        guard let replacement = replacements[network.folder] else {
            return try CheckpointFolder.isFile(own)
                ? CheckpointParameters(contentsOf: own).withPublishedNames
                : CheckpointParameters(
                    directory: own, stem: network.stem, variant: variant(of: network)
                ).withPublishedNames
        }
        guard !CheckpointFolder.isFile(replacement) else {
            return try CheckpointParameters(contentsOf: replacement).withPublishedNames
        }
        let stage = StudentFolder(replacement)
        try stage.requireTextEncoder(place(layout.priorTextEncoder.folder))
        return try stage.parameters(over: own)
    }

    /// A network's configuration.
    ///
    /// - Throws: ``WuerstchenError`` that names the file and the field at fault.
    func configuration<Value: Decodable>(
        of network: CheckpointLayout.Network, _ validate: (Value) throws -> Void
    ) throws -> Value {
        let name = configuration(network)
        let value: Value = try inferred(network) ?? decode(name)
        try naming(name) { try validate(value) }
        return value
    }

    /// What the shapes in an original file say that comes without a configuration; nil for others.
    private func inferred<Value: Decodable>(_ network: CheckpointLayout.Network) throws -> Value? {
        let weights = location(network.folder)
        guard CheckpointFolder.isFile(weights),
            !FileManager.default.fileExists(atPath: location(configuration(network)).path),
            let type = Value.self as? any InferredConfiguration.Type
        else { return nil }
        let shapes = try CheckpointParameters(contentsOf: weights).withPublishedNames
        return try type.init(shapesOf: shapes) as? Value
    }

    /// The pipeline's index, which the original repository does not have: then all its numbers are
    /// the published ones.
    func index<Value: Decodable>() throws -> Value {
        guard isOriginal, try readSmallFile(location(layout.index)) == nil else {
            return try decode(layout.index)
        }
        return try decodeJSON(Value.self, Data("{}".utf8), name: layout.index)
    }

    /// The variant of a part: the one asked for, or none where this part lacks it and another has
    /// it, as diffusers does.
    private func variant(of network: CheckpointLayout.Network) -> String? {
        guard let variant, !has(variant, network),
            networks.contains(where: { has(variant, $0) })
        else { return variant }
        return nil
    }

    private func has(_ variant: String, _ network: CheckpointLayout.Network) -> Bool {
        SafetensorsCheckpoint.isPresent(
            in: place(network.folder), stem: network.stem, variant: variant)
    }

    /// The networks of the pipeline.
    private var networks: [CheckpointLayout.Network] {
        let layout = layout
        return [
            layout.stageC, layout.priorTextEncoder, layout.stageB, layout.stageA,
            layout.decoderTextEncoder,
        ].filter { network in
            FileManager.default.fileExists(
                atPath: place(network.folder).path)
        }
    }

    /// A sentence about each part that lacks the variant that was asked for, so that its plain
    /// weights are taken, and one about weights in 8 bits that are not multiplied as such.
    public var notes: [String] {
        var notes: [String] = []
        if let variant {
            let others = networks.filter { self.variant(of: $0) != variant }
            notes = Set(others.map(\.folder)).sorted().map {
                "\(place($0).path) has no variant \(variant); its plain weights are taken"
            }
        }
        if precision != .int8, opened.values.contains(where: \.isPacked) {
            notes.append(
                "\(url.path) has weights in int8, which in \(precision.rawValue) take more memory "
                    + "and time and are no more exact; ask for int8")
        }
        return notes
    }

    /// A configuration file.
    ///
    /// - Throws: ``WuerstchenError`` that names the file and the field at fault.
    func decode<Value: Decodable>(_ name: String) throws -> Value {
        try decodeJSON(Value.self, from: location(name))
    }
}
