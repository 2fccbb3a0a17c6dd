/// A part of a cascade: a network in memory, or one that is loaded when it is needed.
///
/// Parts are values of their own. Two cascades that hold the same part share its network.
public struct Part<Value: Sendable>: Sendable {
    private let provider: @Sendable () throws -> Value
    /// The blueprint of a stage, so that it need not be loaded to be known.
    private let known: (any Sendable)?
    /// What the weights are told from others by; nil where they are from no checkpoint.
    var weights: PartWeights?

    /// A part in memory.
    public init(_ value: Value) {
        provider = { value }
        known = nil
    }

    /// A part that is loaded for each use and given up after it, so that stages need not be in
    /// memory together.
    public init(loadingEachTime load: @escaping @Sendable () throws -> Value) {
        provider = load
        known = nil
    }

    /// A stage that is loaded for each use, with all about it but its weights.
    public init(
        _ blueprint: StageBlueprint<Value>,
        loadingEachTime load: @escaping @Sendable () throws -> Value
    ) where Value: TrainableStage {
        provider = load
        known = blueprint
    }

    /// The part's value, loaded if need be.
    ///
    /// - Throws: What loading throws.
    public func callAsFunction() throws -> Value { try provider() }
}

extension Part where Value: TrainableStage {
    /// All about the stage but its weights; the stage is loaded if the part was made without.
    ///
    /// - Throws: What loading throws.
    public func blueprint() throws -> StageBlueprint<Value> {
        try known as? StageBlueprint<Value> ?? provider().blueprint
    }

    /// What the stage's configuration says about its use.
    ///
    /// - Throws: As ``blueprint()``.
    public func description() throws -> StageDescription { try blueprint().description }

    /// Refuses options that make no sense for the stage, where that is known without loading it.
    func validate(_ options: SamplingOptions) throws {
        try (known as? StageBlueprint<Value>)?.description.validate(options)
    }

    /// How many steps the options take from a strength on; nil for all of them.
    func stepCount(_ options: SamplingOptions, from strength: Float?) throws -> Int {
        guard let strength, strength < 1 else { return options.timesteps.count }
        return try LatentEdit.options(options, from: strength, description()).timesteps.count
    }
}

/// Whether the networks of a cascade stay in memory.
///
/// Loading a cascade defaults to ``resident``, since a program that makes more than one image
/// should load its networks once. The `text-to-image` command makes one image and ends, so it
/// defaults to ``sequential``: each network is loaded once in either case, and the peak is that of
/// the largest rather than of all. Neither changes an image.
public enum MemoryPolicy: String, Sendable, CaseIterable {
    /// All networks are loaded at once and stay.
    case resident
    /// Each network is loaded for its turn and given up after it: a fraction of the memory, and
    /// some time for loading in every request.
    case sequential
}
