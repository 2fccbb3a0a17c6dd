internal import TensorCore

/// How processes that train the same parameters together talk to each other.
///
/// Every process makes the same calls in the same order, and each call waits for what it needs of
/// the others. ``SingleProcess`` is one process alone; the product `WuerstchenMPI` has many.
public protocol Communicator: Sendable {
    /// Which process this is.
    var process: ProcessRank { get }

    /// Sends bytes from one process to all.
    ///
    /// - Parameters:
    ///   - bytes: What is sent, or where it goes; as many in every process.
    ///   - root: The process that sends.
    /// - Throws: What communication throws.
    func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws

    /// Sends bytes to another process and receives what it sends.
    ///
    /// - Parameters:
    ///   - sent: What is sent.
    ///   - received: Where what the other sends goes, exactly as much as that is.
    ///   - peer: The other process, which calls the same with this one.
    /// - Throws: What communication throws.
    func exchange(
        _ sent: UnsafeRawBufferPointer, for received: UnsafeMutableRawBufferPointer,
        with peer: Int
    ) throws

    /// Sums each value over all processes as fast as can be: in any order, but to the same bits in
    /// every process.
    ///
    /// - Parameter values: The values of this process, which become the sums.
    /// - Throws: What communication throws.
    func sum(_ values: UnsafeMutableBufferPointer<Float>) throws
}

/// One process alone, which has nobody to talk to.
public struct SingleProcess: Communicator {
    /// The only process there is.
    public let process = ProcessRank.single

    /// A process alone.
    public init() {}

    /// Nothing to be done.
    public func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) {}

    /// Nothing to be done: there is no peer.
    public func exchange(
        _ sent: UnsafeRawBufferPointer, for received: UnsafeMutableRawBufferPointer,
        with peer: Int
    ) {}

    /// The values as they are.
    public func sum(_ values: UnsafeMutableBufferPointer<Float>) {}
}

/// Processes that are all as this one is, for work that is only measured: nothing is sent.
struct AlikeProcesses: Communicator {
    let process: ProcessRank

    func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) {}

    func exchange(
        _ sent: UnsafeRawBufferPointer, for received: UnsafeMutableRawBufferPointer,
        with peer: Int
    ) {}

    func sum(_ values: UnsafeMutableBufferPointer<Float>) {}
}

/// The processes that a piece of work is shared by.
public enum ProcessGroup {
    /// Those of the current task; one by default. Trainings begun in the task are theirs together.
    @TaskLocal public static var current: any Communicator = SingleProcess()

    /// Whether this process speaks and writes for all.
    public static var isFirst: Bool { current.process.isFirst }

    /// Does something in the first process, for which the others wait.
    ///
    /// - Parameter work: What is done.
    /// - Throws: What it throws.
    public static func inFirst(_ work: () throws -> Void) throws {
        if isFirst { try work() }
        try current.waitForFirst()
    }

    /// Does something in the first process, and then in the others, which find there what it left.
    ///
    /// - Parameter work: What is done.
    /// - Returns: What it gives.
    /// - Throws: What it throws.
    public static func firstThenOthers<Value>(_ work: () throws -> Value) throws -> Value {
        guard isFirst else {
            try current.waitForFirst()
            return try work()
        }
        let value = try work()
        try current.waitForFirst()
        return value
    }
}

/// Thrown in all processes but the first when a training ends early in every one of them, as it
/// failed or was cancelled: the first throws why, and the others have nothing to add.
public struct EndedTogether: Error, Sendable {
    init() {}
}

extension Communicator {
    /// Waits until the first process has come here too.
    func waitForFirst() throws { _ = try decided(true) }

    /// What the first process decides, in all of them.
    func decided(_ decision: Bool) throws -> Bool {
        var mark: UInt8 = decision ? 1 : 0
        try withUnsafeMutableBytes(of: &mark) { try broadcast($0, from: 0) }
        return mark != 0
    }

    /// Bytes of one process in all of them.
    ///
    /// - Parameters:
    ///   - bytes: What is sent; elsewhere it does not matter.
    ///   - root: The process that sends.
    /// - Returns: What that process sent.
    /// - Throws: What communication throws.
    func shared(_ bytes: [UInt8], from root: Int) throws -> [UInt8] {
        guard process.count > 1 else { return bytes }
        var count = UInt64(bytes.count)
        try withUnsafeMutableBytes(of: &count) { try broadcast($0, from: root) }
        var result = bytes.count == count ? bytes : [UInt8](repeating: 0, count: Int(count))
        try result.withUnsafeMutableBytes { try broadcast($0, from: root) }
        return result
    }

    /// What each process sends, in the order of their ranks.
    func gathered(_ bytes: [UInt8]) throws -> [[UInt8]] {
        try (0..<process.count).map { try shared(bytes, from: $0) }
    }

    /// Sends bytes to one process, which receives them.
    func send(_ bytes: UnsafeRawBufferPointer, to rank: Int) throws {
        try exchange(
            bytes, for: UnsafeMutableRawBufferPointer(start: nil, count: 0), with: rank)
    }

    /// Receives what a process sends to this one.
    func receive(_ bytes: UnsafeMutableRawBufferPointer, from rank: Int) throws {
        try exchange(UnsafeRawBufferPointer(start: nil, count: 0), for: bytes, with: rank)
    }

    /// Sums each value over all processes in a fixed order: those of neighbours first, then those
    /// of neighbouring pairs and so on, as a binary tree, the lower rank before the higher.
    ///
    /// With every level of the tree each process keeps half of the parts that it had, and gives the
    /// sums of the others away.
    ///
    /// - Parameters:
    ///   - values: The values of this process. Those of its part become the sums.
    ///   - parts: The part of each process, as ``ProcessParts`` has them.
    /// - Throws: What communication throws.
    /// - Precondition: The number of processes is a power of two.
    func scatteredSum(
        _ values: UnsafeMutableBufferPointer<Float>, _ parts: ProcessParts
    ) throws {
        for distance in distances {
            let kept = values[parts.kept(by: process.rank, at: distance)]
            let given = values[parts.kept(by: process.rank ^ distance, at: distance)]
            let received = UnsafeMutableBufferPointer<Float>.allocate(capacity: kept.count)
            defer { received.deallocate() }
            try exchange(
                UnsafeRawBufferPointer(UnsafeMutableBufferPointer(rebasing: given)),
                for: UnsafeMutableRawBufferPointer(received), with: process.rank ^ distance)
            add(received, to: UnsafeMutableBufferPointer(rebasing: kept))
        }
    }

    /// Brings the values of each process's part to all.
    ///
    /// - Parameters:
    ///   - values: The values, of which those of this process's part are sent.
    ///   - parts: The part of each process.
    /// - Throws: What communication throws.
    /// - Precondition: The number of processes is a power of two.
    func gather(_ values: UnsafeMutableBufferPointer<Float>, _ parts: ProcessParts) throws {
        for distance in distances.reversed() {
            let own = values[parts.kept(by: process.rank, at: distance)]
            let theirs = values[parts.kept(by: process.rank ^ distance, at: distance)]
            try exchange(
                UnsafeRawBufferPointer(UnsafeMutableBufferPointer(rebasing: own)),
                for: UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: theirs)),
                with: process.rank ^ distance)
        }
    }

    /// How far the ranks of those are apart that talk to each other, level by level.
    var distances: [Int] {
        precondition(process.count.nonzeroBitCount == 1, "a tree over \(process.count) processes")
        return (0..<process.count.trailingZeroBitCount).map { 1 << $0 }
    }
}

/// Where the parts of processes lie: one after the other, in an order in which those that a process
/// keeps or gives away at a level of the tree lie next to each other.
struct ProcessParts {
    /// The part of each process.
    let ranges: [Range<Int>]
    /// The ranks of the processes in the order of their parts: those of even rank first, and
    /// likewise within both halves.
    let order: [Int]

    /// Parts of the given lengths.
    ///
    /// - Parameter lengths: The length of each process's part, of as many as a power of two.
    init(_ lengths: [Int]) {
        let bits = lengths.count.trailingZeroBitCount
        order = lengths.indices.map { index in
            (0..<bits).reduce(0) { $0 << 1 | (index >> $1) & 1 }
        }
        var (ranges, end) = ([Range<Int>](repeating: 0..<0, count: lengths.count), 0)
        for rank in order {
            ranges[rank] = end..<end + lengths[rank]
            end += lengths[rank]
        }
        self.ranges = ranges
    }

    /// The length of all parts.
    var count: Int { order.last.map { ranges[$0].upperBound } ?? 0 }

    /// Whose parts a process keeps of those that it shares with the one at a distance.
    func owners(keptBy rank: Int, at distance: Int) -> [Int] {
        order.filter { ($0 ^ rank) & (2 * distance - 1) == 0 }
    }

    /// Where those parts lie.
    func kept(by rank: Int, at distance: Int) -> Range<Int> {
        let owners = owners(keptBy: rank, at: distance)
        guard let first = owners.first, let last = owners.last else { return 0..<0 }
        return ranges[first].lowerBound..<ranges[last].upperBound
    }
}

/// Adds values to others. Which comes first makes no difference to a sum of two.
private func add(
    _ values: UnsafeMutableBufferPointer<Float>, to sums: UnsafeMutableBufferPointer<Float>
) {
    let (values, sums) = (UnsafeSendable(values), UnsafeSendable(sums))
    let chunk = 1 << 16
    parallel((sums.value.count + chunk - 1) / chunk) { index in
        for place in index * chunk..<min(sums.value.count, (index + 1) * chunk) {
            sums.value[place] += values.value[place]
        }
    }
}
