/// A part of a cascade: a network in memory, or one that is loaded when it is needed.
///
/// Parts are values of their own. Two cascades that hold the same part share its network.
public struct Part<Value: Sendable>: Sendable {
    private let provider: @Sendable () throws -> Value

    /// A part in memory.
    public init(_ value: Value) {
        provider = { value }
    }

    /// A part that is loaded for each use and given up after it, so that stages need not be in
    /// memory together.
    public init(loadingEachTime load: @escaping @Sendable () throws -> Value) {
        provider = load
    }

    /// The part's value, loaded if need be.
    ///
    /// - Throws: What loading throws.
    public func callAsFunction() throws -> Value { try provider() }
}

/// Whether the networks of a cascade stay in memory.
public enum MemoryPolicy: String, Sendable, CaseIterable {
    /// All networks are loaded at once and stay.
    case resident
    /// Each network is loaded for its turn and given up after it: a fraction of the memory, and
    /// some time for loading in every request.
    case sequential
}
