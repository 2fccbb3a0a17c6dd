internal import TensorCore

/// The times at which a latent is denoised, from 1 (or less) down, ending in the time of the
/// result.
public struct Timesteps: Sendable, Hashable, Codable {
    /// Falling times, the last one, usually 0, being where sampling ends.
    public let times: [Float]

    /// The number of denoising steps: one less than there are times.
    public var count: Int { times.count - 1 }

    /// Equal steps from 1 to 0.
    ///
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` for a count outside 1…10000.
    public init(count: Int) throws {
        try Timesteps.validate(count: count)
        times = Timesteps.equal(count)
    }

    static func validate(count: Int) throws {
        guard (1...10_000).contains(count) else {
            throw WuerstchenError(
                .invalidRequest, "\(count) sampling steps; there must be 1 to 10000")
        }
    }

    /// Times of your own.
    ///
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` unless there are two to 10001 times
    ///   in 0…1, each below the one before.
    public init(_ times: [Float]) throws {
        guard (2...10_001).contains(times.count), times.allSatisfy({ (0...1).contains($0) }),
            Swift.zip(times, times.dropFirst()).allSatisfy({ $0 > $1 })
        else {
            throw WuerstchenError(
                .invalidRequest,
                "timesteps must be two to 10001 falling times between 1 and 0, such as 1, 0.5, 0; "
                    + "got \(times.prefix(12))")
        }
        self.times = times
    }

    /// Reads a list of times.
    ///
    /// - Throws: As ``init(_:)``.
    public init(from decoder: any Decoder) throws {
        try self.init(decoder.singleValueContainer().decode([Float].self))
    }

    /// Writes the list of times.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(times)
    }

    /// Sixty equal steps, as published for Stage C.
    static let equal60 = Timesteps(equal: 60)
    /// Twelve equal steps, as published for Stage B.
    static let equal12 = Timesteps(equal: 12)

    /// As torch.linspace(1, 0, count + 1) rounds: from both ends towards the middle, multiplying
    /// and adding at once.
    private static func equal(_ count: Int) -> [Float] {
        let step = -1 / Float(count)
        return (0...count).map { index in
            index < (count + 1) / 2
                ? Float(1).addingProduct(step, Float(index)) : -step * Float(count - index)
        }
    }

    /// Equal steps, as many as were found to be at least one.
    init(equal count: Int) {
        times = Timesteps.equal(count)
    }

    init(unchecked times: [Float]) {
        self.times = times
    }

    /// The published list for Stage C: nineteen short steps while the noise is strong, from 1 to
    /// ⅔, and ten longer ones to 0 (`DEFAULT_STAGE_C_TIMESTEPS`).
    public static let stageC: Timesteps = {
        let first = (0..<20).map { 1 - Double($0) * (1 - 2.0 / 3) / 19 }
        let second = (1..<11).map { 2.0 / 3 - Double($0) * (2.0 / 3) / 10 }
        return Timesteps(unchecked: (first + second.dropLast() + [0]).map(Float.init))
    }()
}
