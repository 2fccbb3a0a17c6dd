internal import TensorCore
public import Wuerstchen

/// A training in as much memory as there may be, found out before it begins.
///
/// Steps are gone through with tensors that have shapes and no elements, forwards and backwards and
/// with all that the optimiser remembers, as `MemoryEstimate` has it for images. Where they take
/// more than there may be, activations are computed anew for gradients instead of being kept, which
/// gives the same bits in a third more time.
///
/// Of the processes of the current task it is this one's: its share of a step and of what the
/// optimiser remembers, and what it needs to talk to the others.
public struct MemoryFit<Objective: TrainingObjective>: Sendable {
    /// What is trained, in the way that takes no more memory than there may be.
    public let objective: Objective
    /// The memory that it takes.
    public let estimate: MemoryEstimate
    /// The memory that it would take if activations were kept, where they no longer are.
    public let estimateBefore: MemoryEstimate?

    /// Finds out how a training fits.
    ///
    /// - Parameters:
    ///   - objective: What is trained.
    ///   - options: The settings.
    ///   - limit: The most bytes that the process may have; nil for what the machine has, which is
    ///     no reason to refuse anything.
    /// - Throws: `WuerstchenError` with code `invalidRequest` when the limit is exceeded whatever
    ///   is done, which says what would fit; and what reading data and building networks throw.
    public init(
        _ objective: Objective, _ options: TrainingOptions, limit: Int? = nil
    ) throws {
        try self.init(objective, options, limit: limit, process: nil)
    }

    /// The same with another number of bytes that the process has besides.
    init(
        _ objective: Objective, _ options: TrainingOptions, limit: Int?, process: Int?
    ) throws {
        try options.validate()
        try objective.validate()
        func isTooMuch(_ estimate: MemoryEstimate, for most: Int) -> Bool {
            estimate.work > most - (process ?? estimate.process)
        }
        let options = options.shared(by: ProcessGroup.current.process)
        let first = try Trainer.memory(of: objective, options)
        let saving =
            isTooMuch(first, for: limit ?? TensorMemory.physical ?? .max)
            ? objective.checkpointingActivations() : nil
        self.objective = saving ?? objective
        estimate = try saving.map { try Trainer.memory(of: $0, options) } ?? first
        estimateBefore = saving == nil ? nil : first
        guard let limit, isTooMuch(estimate, for: limit) else { return }
        var advice =
            "nothing smaller fits either: raise the limit, or choose smaller networks or images"
        for parts in 2...max(2, options.batchSize)
        where parts > options.parts && options.batchSize.isMultiple(of: parts) {
            var other = options
            if options.shards == nil {
                other.microBatches = parts
            } else if parts.nonzeroBitCount == 1 {
                other.shards = parts
            } else {
                continue
            }
            let less = try Trainer.memory(of: self.objective, other)
            guard !isTooMuch(less, for: limit) else { continue }
            let count = options.batchSize / parts
            advice =
                options.shards == nil
                ? "this would fit: \(count) of the \(options.batchSize) images at a time "
                    + "(--micro-batch \(count): \(less.peak.bytesInWords))"
                : "this would fit: --shards \(parts): \(less.peak.bytesInWords)"
            break
        }
        throw WuerstchenError(
            .invalidRequest,
            "a step of training \(objective.name) needs \(estimate.peak.bytesInWords) of memory, more "
                + "than the limit of \(limit.bytesInWords); \(advice)")
    }

    /// What to say about it.
    public var description: String {
        let need = "a step needs \(estimate.peak.bytesInWords) of memory"
        return estimateBefore.map {
            "\(need): activations are computed anew for gradients, or it would be "
                + $0.peak.bytesInWords
        } ?? need
    }
}

extension Trainer {
    /// The memory that steps of a training take at their worst moment, in this process of those of
    /// the current task.
    ///
    /// - Parameters:
    ///   - objective: What is trained.
    ///   - options: The settings.
    /// - Returns: The memory, with what the process has now.
    /// - Throws: What reading data and building networks throw.
    static func memory(
        of objective: Objective, _ options: TrainingOptions
    ) throws -> MemoryEstimate {
        let current = ProcessGroup.current.process
        // Those that cannot share a step are refused when it begins.
        let process = options.parts.isMultiple(of: current.count) ? current : .single
        return try MemoryEstimate {
            var trainer = try Trainer(measuring: objective, options, as: process)
            // In the second step there is all that the optimiser remembers.
            for _ in 0..<2 { _ = try trainer.next() }
        }
    }
}

extension Int {
    /// A number of bytes as people read it.
    var bytesInWords: String {
        let megabytes = (self + 500_000) / 1_000_000
        guard megabytes >= 1000 else { return "\(megabytes) MB" }
        let hundredths = (self + 5_000_000) / 10_000_000 % 100
        return "\((self + 5_000_000) / 1_000_000_000).\(hundredths < 10 ? "0" : "")\(hundredths) GB"
    }
}
