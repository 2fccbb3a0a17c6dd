public import TensorCore
public import Wuerstchen
public import WuerstchenNN

/// Named parameters that training changes, of one or more networks.
///
/// Networks are built from it anew in each step: its parameters are then tracked tensors, and the
/// networks of training are those of inference.
public struct TrainableParameters: Sendable {
    /// The parameters by name.
    public var values: [String: Tensor]
    /// What the parameters that were added are to their layers, by name.
    public internal(set) var roles: [String: ParameterRole] = [:]

    /// The given parameters.
    public init(_ values: [String: Tensor] = [:]) {
        self.values = values
    }

    /// The parameters of one network under its scope, the inverse of ``scope(_:)``: what a training
    /// can begin with.
    public init(_ values: [String: Tensor], under scope: String) {
        self.init(
            Dictionary(uniqueKeysWithValues: values.map { ("\(scope).\($0)", $1) }))
    }

    /// Adds the parameters of a network.
    ///
    /// - Parameters:
    ///   - scope: A name to put in front of theirs, or nil for none.
    ///   - source: Where they come from.
    ///   - build: Builds the network, which says what there is.
    /// - Throws: What building throws.
    public mutating func add(
        _ scope: String? = nil, from source: any ParameterSource,
        _ build: (any ParameterSource) throws -> Void
    ) throws {
        let recorder = RecordingSource(source)
        try build(recorder)
        let prefix = scope.map { $0 + "." } ?? ""
        for (name, value) in recorder.found { values[prefix + name] = value }
        for (name, role) in recorder.roles { roles[prefix + name] = role }
    }

    /// Adds other parameters with their roles, in place of those of the same names.
    public mutating func merge(_ other: TrainableParameters) {
        values.merge(other.values) { $1 }
        roles.merge(other.roles) { $1 }
    }

    /// The parameters whose names begin with a scope, under the rest of their names.
    public func scope(_ name: String) -> [String: Tensor] {
        let prefix = name + "."
        var result: [String: Tensor] = [:]
        for (name, value) in values where name.hasPrefix(prefix) {
            result[String(name.dropFirst(prefix.count))] = value
        }
        return result
    }

    /// The number of numbers.
    public var count: Int { values.values.reduce(0) { $0 + $1.count } }
}

extension TrainableParameters {
    /// Adds a text encoder's initial parameters under `text`.
    ///
    /// - Throws: What building the network throws.
    public mutating func addText(
        _ configuration: CLIPTextModel.Configuration, seed: UInt64
    ) throws {
        try add("text", from: InitialParameters(seed: seed)) {
            _ = try CLIPTextModel(configuration: configuration, parameters: $0)
        }
    }

    /// Adds a Stage A's initial parameters under `stage_a`.
    ///
    /// - Throws: What building the network throws.
    public mutating func addStageA(_ configuration: StageA.Configuration, seed: UInt64) throws {
        try add("stage_a", from: InitialParameters(seed: seed)) {
            _ = try StageA(configuration: configuration, parameters: $0)
        }
    }

    /// Adds a diffusion stage's initial parameters under its scope.
    ///
    /// - Throws: What building the network throws.
    public mutating func add<Stage: TrainableStage>(
        _ blueprint: StageBlueprint<Stage>, seed: UInt64
    ) throws {
        try add(Stage.scope, from: InitialParameters(seed: seed)) {
            _ = try blueprint.stage($0)
        }
    }
}

/// Passes parameters on and notes them and what they are to their layers.
private final class RecordingSource: ParameterSource {
    let origin: String
    let names: Set<String>? = nil
    private(set) var found: [String: Tensor] = [:]
    private(set) var roles: [String: ParameterRole] = [:]
    private let source: any ParameterSource

    init(_ source: any ParameterSource) {
        self.source = source
        origin = source.origin
    }

    func parameter(_ request: ParameterRequest) throws -> FoundParameter {
        let result = try source.parameter(request)
        if case .found(let tensor) = result { found[request.name] = tensor }
        roles[request.name] = request.role
        return result
    }
}

/// Parameters as a source for networks. Adapters among them, as `LoRA.values` has them, are put
/// beside the weights that they belong to.
public struct ParameterValues: ParameterSource {
    /// A name for messages.
    public let origin: String
    /// In training, where batch norms note what they saw.
    public let batchStatistics: BatchStatistics?
    private let values: [String: Tensor]

    /// Parameters of the given values.
    ///
    /// - Parameters:
    ///   - values: The parameters by name.
    ///   - origin: A name for messages.
    ///   - batchStatistics: In training, where batch norms note what they saw.
    public init(
        _ values: [String: Tensor], origin: String = "parameters in training",
        batchStatistics: BatchStatistics? = nil
    ) {
        self.values = values
        self.origin = origin
        self.batchStatistics = batchStatistics
    }

    /// The names of all parameters of networks.
    public var names: Set<String>? {
        Set(values.keys.filter { LoRA.module(ofAdapter: $0) == nil })
    }

    /// The parameter of a name.
    public func parameter(_ request: ParameterRequest) -> FoundParameter {
        guard let value = values[request.name] else { return .missing }
        return value.shape == request.shape ? .found(value) : .misshapen("\(value.shape)")
    }

    /// What an adapter among the parameters adds to a weight.
    ///
    /// - Throws: `WuerstchenError` when it does not fit the weight.
    public func updates(of request: ParameterRequest) throws -> [WeightUpdate] {
        try LoRA.update(of: request, in: values).map { [$0] } ?? []
    }
}
