public import TensorCore
public import Wuerstchen

/// What a student has fewer of than its teacher.
public struct StagePruning: Sendable, Hashable {
    /// Groups of blocks, at most the teacher's: one number for Stage C and for Stage A's decoder,
    /// one for each level of Stage B; nil for the teacher's.
    public var blocks: [Int]?
    /// Whether the student has no attention, and so sees no text.
    public var removesAttention: Bool

    /// A student with so many blocks, by default all.
    public init(blocks: [Int]? = nil, removesAttention: Bool = false) {
        self.blocks = blocks
        self.removesAttention = removesAttention
    }

    /// Whether the student has all that its teacher has.
    public var isEmpty: Bool { blocks == nil && !removesAttention }

    /// The student's groups of blocks.
    fileprivate func counts(of teacher: [Int]) throws -> [Int] {
        guard let blocks else { return teacher }
        guard blocks.count == teacher.count, blocks.allSatisfy({ $0 > 0 }),
            zip(blocks, teacher).allSatisfy(<=)
        else {
            func list(_ numbers: [Int]) -> String {
                numbers.map(String.init).joined(separator: ",")
            }
            throw WuerstchenError(
                .invalidRequest,
                "a student cannot have \(list(blocks)) groups of blocks; give "
                    + (teacher.count == 1 ? "one number" : "\(teacher.count) numbers")
                    + " from 1 to the teacher's \(list(teacher))")
        }
        return blocks
    }
}

/// The configuration of a stage of which a student can have fewer blocks.
public protocol PrunableConfiguration: Codable, Sendable {
    /// The configuration of a student.
    ///
    /// - Parameter pruning: What it has fewer of.
    /// - Returns: The configuration.
    /// - Throws: `WuerstchenError` with code `invalidRequest` when there is less to begin with,
    ///   or nothing would be left.
    func pruned(_ pruning: StagePruning) throws -> Self

    /// The parameters that a stage of this configuration begins with: of each list of blocks in a
    /// deeper one the first group and others at equal distances.
    ///
    /// - Parameters:
    ///   - parameters: The deeper stage's parameters under their published names.
    ///   - deeper: The deeper stage's configuration.
    /// - Returns: The parameters that there are, under the names that they have here.
    func parameters(pruning parameters: [String: Tensor], of deeper: Self) -> [String: Tensor]
}

extension PrunableConfiguration {
    /// By default a student has all that its teacher has.
    public func pruned(_ pruning: StagePruning) throws -> Self {
        guard pruning.isEmpty else {
            throw WuerstchenError(
                .invalidRequest, "this stage cannot be pruned; leave its blocks as they are")
        }
        return self
    }

    /// By default all parameters.
    public func parameters(
        pruning parameters: [String: Tensor], of deeper: Self
    ) -> [String: Tensor] { parameters }
}

extension StageC.Configuration: PrunableConfiguration {
    /// A student of fewer groups of a residual, a timestep and an attention block.
    public func pruned(_ pruning: StagePruning) throws -> Self {
        guard !pruning.removesAttention else {
            throw WuerstchenError(
                .invalidRequest, "without attention Stage C would not see its text; keep it")
        }
        var result = self
        result.depth = try pruning.counts(of: [depth])[0]
        return result
    }
}

extension StageB.Configuration: PrunableConfiguration {
    /// A student of fewer groups of blocks in each level, with or without attention in them.
    public func pruned(_ pruning: StagePruning) throws -> Self {
        var result = self
        result.blocks = try pruning.counts(of: blocks)
        if pruning.removesAttention {
            result.blockTypes = blockTypes.map { $0.filter { $0 != "A" } }
        }
        return result
    }
}

extension StageA.Configuration: PrunableConfiguration {
    /// A student of fewer bottleneck blocks in its decoder.
    public func pruned(_ pruning: StagePruning) throws -> Self {
        guard !pruning.removesAttention else {
            throw WuerstchenError(.invalidRequest, "Stage A has no attention to leave out")
        }
        var result = self
        result.bottleneckBlocks = try pruning.counts(of: [bottleneckBlocks])[0]
        return result
    }
}
