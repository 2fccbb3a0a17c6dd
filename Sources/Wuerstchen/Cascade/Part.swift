/// A part of a cascade: a network in memory, or one that is loaded when it is needed.
///
/// Parts are values of their own. Two cascades that hold the same part share its network.
public struct Part<Value: Sendable>: Sendable {
    private let provider: @Sendable () throws -> Value
    /// What is known about a stage without loading it.
    private let known: KnownStage?

    /// A part in memory.
    public init(_ value: Value) {
        provider = { value }
        known = nil
    }

    /// A part that is loaded for each use and given up after it, so that stages need not be in
    /// memory together.
    public init(loadingEachTime load: @escaping @Sendable () throws -> Value) {
        self.init(known: nil, loadingEachTime: load)
    }

    /// The same for a stage of which is known how it is used.
    init(known: KnownStage?, loadingEachTime load: @escaping @Sendable () throws -> Value) {
        provider = load
        self.known = known
    }

    /// The part's value, loaded if need be.
    ///
    /// - Throws: What loading throws.
    public func callAsFunction() throws -> Value { try provider() }
}

extension Part where Value: SampledStage {
    /// How the stage is meant to be sampled; it is loaded if that is not known without.
    ///
    /// - Throws: What loading throws.
    public func defaultSampling() throws -> SamplingOptions {
        try known?.defaultSampling ?? provider().defaultSampling
    }

    /// Whether the stage looks at text at all; it is loaded if that is not known without.
    ///
    /// - Throws: What loading throws.
    public func readsText() throws -> Bool { try known?.readsText ?? provider().readsText }
}

/// Whether the networks of a cascade stay in memory.
public enum MemoryPolicy: String, Sendable, CaseIterable {
    /// All networks are loaded at once and stay.
    case resident
    /// Each network is loaded for its turn and given up after it: a fraction of the memory, and
    /// some time for loading in every request.
    case sequential
}
