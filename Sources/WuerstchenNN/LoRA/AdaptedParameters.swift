public import TensorCore

/// Parameters with adapters beside them: a network that is built from it multiplies with its own
/// weights, packed in any precision, and with the adapters' thin ones.
///
/// That takes some time in each pass, and lets how much of each adapter counts change while the
/// network is in use. To save the time, build the network from ``MergedParameters`` of it.
public struct AdaptedParameters: ParameterSource {
    /// An adapter, and how much of it counts.
    public struct Adapter: Sendable {
        /// The adapter.
        public let lora: LoRA
        /// How much of it counts: a product of a network asks for it each time.
        public let scale: UpdateScale

        /// An adapter and its scale.
        public init(_ lora: LoRA, scale: UpdateScale = UpdateScale()) {
            self.lora = lora
            self.scale = scale
        }
    }

    private let base: any ParameterSource
    private let adapters: [Adapter]

    /// Parameters and the adapters to put beside them; those of several add up.
    public init(_ base: any ParameterSource, _ adapters: [Adapter]) {
        self.base = base
        self.adapters = adapters
    }

    /// The name of what is adapted.
    public var origin: String { base.origin }
    /// The names of what is adapted.
    public var names: Set<String>? { base.names }
    /// Whether what is adapted has values.
    public var hasValues: Bool { base.hasValues }
    /// What batch norms of what is adapted record into.
    public var batchStatistics: BatchStatistics? { base.batchStatistics }
    /// Whether there are no elements under a name.
    public func isEmpty(_ name: String) -> Bool { base.isEmpty(name) }

    /// A parameter of what is adapted, as it is.
    public func parameter(_ request: ParameterRequest) throws -> FoundParameter {
        try base.parameter(request)
    }

    /// What the adapters add to a weight.
    public func updates(of request: ParameterRequest) throws -> [WeightUpdate] {
        try base.updates(of: request)
            + adapters.compactMap { try $0.lora.update(of: request, scale: $0.scale) }
    }
}

/// Parameters with what adapters add to them added: a network that is built from it costs what it
/// costs without adapters. What was merged stays as it was, so that a network built from that again
/// is the same bit for bit.
public struct MergedParameters: ParameterSource {
    private let base: any ParameterSource

    /// The parameters of a source, with its updates in them at the scale of when a network takes
    /// them.
    public init(_ base: any ParameterSource) {
        self.base = base
    }

    /// The name of what is merged.
    public var origin: String { base.origin }
    /// The names of what is merged.
    public var names: Set<String>? { base.names }
    /// Whether what is merged has values.
    public var hasValues: Bool { base.hasValues }
    /// What batch norms of what is merged record into.
    public var batchStatistics: BatchStatistics? { base.batchStatistics }
    /// Whether there are no elements under a name.
    public func isEmpty(_ name: String) -> Bool { base.isEmpty(name) }

    /// A parameter with what is added to it.
    public func parameter(_ request: ParameterRequest) throws -> FoundParameter {
        let found = try base.parameter(request)
        guard case .found(let parameter) = found, hasValues, request.role.isWeight else {
            return found
        }
        return .found(try base.updates(of: request).reduce(parameter) { $1.added(to: $0) })
    }
}
