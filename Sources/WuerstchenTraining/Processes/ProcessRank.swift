private import Foundation
internal import TensorCore

/// Which of several processes this one is, and how many there are: for work that each takes a share
/// of without talking to the others.
///
/// Launchers say so in the environment: Open MPI, MPICH (and what else speaks PMI), SLURM; or a
/// person does, in `RANK` and `WORLD_SIZE`.
public struct ProcessRank: Sendable, Hashable {
    /// Which process this is, from 0.
    public let rank: Int
    /// How many there are.
    public let count: Int

    /// One process alone.
    public static let single = ProcessRank()

    private init() { (rank, count) = (0, 1) }

    /// One of several processes.
    ///
    /// - Throws: `WuerstchenError` with code `invalidRequest` unless `0 ≤ rank < count`.
    public init(_ rank: Int, of count: Int) throws {
        try self.init(rank, of: count, names: "rank and number of processes")
    }

    private init(_ rank: Int, of count: Int, names: String) throws {
        guard (1...1 << 20).contains(count), (0..<count).contains(rank) else {
            throw WuerstchenError(
                .invalidRequest,
                "\(names) are \(rank) and \(count); ranks count from 0 up to one less than the "
                    + "number of processes")
        }
        (self.rank, self.count) = (rank, count)
    }

    /// The variables of launchers, the innermost first.
    private static let variables: [(rank: String, count: String)] = [
        ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE"),
        ("RANK", "WORLD_SIZE"),
    ]

    /// What an environment says; one process where it says nothing.
    ///
    /// SLURM's variables count only where no other launcher's are set: its steps may start such a
    /// launcher. In a batch script outside of `srun` they describe the job and no process.
    ///
    /// - Parameter given: The variables; nil for this process's.
    /// - Throws: `WuerstchenError` with code `invalidRequest` that names the variables when only
    ///   one of two is set, when they make no sense, or when two launchers say different things.
    public init(
        environment given: [String: String]? = nil
    ) throws {
        let environment = given ?? ProcessInfo.processInfo.environment
        var found: [(names: String, rank: ProcessRank)] = []
        for names in Self.variables {
            guard let rank = try Self.read(names.rank, names.count, environment) else { continue }
            found.append(("\(names.rank) and \(names.count)", rank))
        }
        if let first = found.first {
            if let other = found.first(where: { $0.rank != first.rank }) {
                throw WuerstchenError(
                    .invalidRequest,
                    "\(first.names) say process \(first.rank.rank) of \(first.rank.count), "
                        + "\(other.names) process \(other.rank.rank) of \(other.rank.count); unset "
                        + "those that do not hold")
            }
            self = first.rank
            return
        }
        let isScript = environment["SLURM_JOB_ID"] != nil && environment["SLURM_STEP_ID"] == nil
        let tasks =
            environment["SLURM_NTASKS"] == nil && environment["SLURM_STEP_NUM_TASKS"] != nil
            ? "SLURM_STEP_NUM_TASKS" : "SLURM_NTASKS"
        self = try (isScript ? nil : Self.read("SLURM_PROCID", tasks, environment)) ?? .single
    }

    private static func read(
        _ rank: String, _ count: String, _ environment: [String: String]
    ) throws -> ProcessRank? {
        let names = "\(rank) and \(count)"
        switch (environment[rank], environment[count]) {
        case (nil, nil): return nil
        case (let first?, let second?):
            guard let first = Int(first), let second = Int(second) else {
                throw WuerstchenError(
                    .invalidRequest,
                    "\(names) are \(first) and \(second); both must be whole numbers")
            }
            return try ProcessRank(first, of: second, names: names)
        case (let first, _):
            throw WuerstchenError(
                .invalidRequest,
                "\(first == nil ? count : rank) is set and \(first == nil ? rank : count) is not; "
                    + "set both, or neither")
        }
    }

    /// Whether this is the first process, which speaks for all.
    public var isFirst: Bool { rank == 0 }

    /// Whether this process takes a piece of work: every `count`-th is its own.
    ///
    /// - Parameter index: Which piece, from 0.
    /// - Returns: Whether it is this process's.
    public func takes(_ index: Int) -> Bool { index % count == rank }
}

extension ProcessRank: CustomStringConvertible {
    /// Such as "process 1 of 4", counted from 1.
    public var description: String { "process \(rank + 1) of \(count)" }
}
