private import Foundation
internal import TensorCore

/// What a process says of its shards of a step before gradients are summed: what came out of them,
/// or why nothing did. All processes have those of all, and so go on or end together.
struct ShardReport {
    /// The losses of its shards.
    var losses: [TrainingLoss] = []
    /// What batch norms saw in each.
    var statistics: [[String: Tensor]] = []
    /// The parameters that its gradients are of, in the order in which they came.
    var names: [String] = []
    /// Why there is nothing.
    var failure: Failure?

    /// Why a process cannot go on.
    struct Failure: Codable {
        let isCancellation: Bool
        let code: String
        let message: String

        init(_ error: any Error) {
            isCancellation = error is CancellationError
            let known = error as? WuerstchenError
            code = (known?.code ?? .invalidRequest).rawValue
            message = known?.message ?? error.localizedDescription
        }

        /// The error as the first process throws it.
        func error(of process: ProcessRank) -> any Error {
            isCancellation
                ? CancellationError()
                : WuerstchenError(
                    WuerstchenError.Code(rawValue: code),
                    process.isFirst ? message : "\(process): \(message)")
        }
    }

    /// A report of nothing yet.
    init() {}

    /// The report of a process that cannot go on.
    init(failed error: any Error) { failure = Failure(error) }

    // MARK: Bytes

    private struct Header: Codable {
        struct Shard: Codable {
            let metrics: [String]
            let auxiliary: [String: [Int]]
            let statistics: [String: [Int]]
        }

        var shards: [Shard] = []
        var names: [String] = []
        var failure: Failure?
    }

    /// The report as it is sent: a header in JSON with names and shapes, and the numbers after it.
    func bytes() throws -> [UInt8] {
        var header = Header(names: names, failure: failure)
        var numbers: [Float] = []
        for (loss, statistics) in zip(losses, statistics) {
            let metrics = loss.metrics.keys.sorted()
            header.shards.append(
                Header.Shard(
                    metrics: metrics, auxiliary: loss.auxiliary.mapValues(\.shape.array),
                    statistics: statistics.mapValues(\.shape.array)))
            numbers.append(contentsOf: loss.value.elements)
            numbers.append(contentsOf: metrics.map { loss.metrics[$0] ?? .nan })
            for tensors in [loss.auxiliary, statistics] {
                for name in tensors.keys.sorted() {
                    numbers.append(contentsOf: tensors[name]?.elements ?? [])
                }
            }
        }
        let text = try JSONEncoder().encode(header)
        var result = withUnsafeBytes(of: UInt64(text.count)) { Array($0) }
        result += text
        numbers.withUnsafeBytes { result += $0 }
        return result
    }

    /// The report in bytes.
    init(_ bytes: [UInt8]) throws {
        let length = MemoryLayout<UInt64>.size
        let count = bytes.withUnsafeBytes { Int($0.loadUnaligned(as: UInt64.self)) }
        let header = try JSONDecoder().decode(
            Header.self, from: Data(bytes[length..<length + count]))
        var place = length + count
        func next(_ shape: [Int]) -> Tensor {
            Tensor(Shape(shape)) { target in
                let bytes = bytes[place..<place + 4 * target.count]
                _ = UnsafeMutableRawBufferPointer(target).initializeMemory(
                    as: UInt8.self, from: bytes)
                place += bytes.count
            }
        }
        func next(_ shapes: [String: [Int]]) -> [String: Tensor] {
            var tensors: [String: Tensor] = [:]
            for name in shapes.keys.sorted() { tensors[name] = shapes[name].map(next) }
            return tensors
        }
        for shard in header.shards {
            var loss = TrainingLoss(next([Int]()))
            for name in shard.metrics { loss.metrics[name] = next([Int]()).elements[0] }
            loss.auxiliary = next(shard.auxiliary)
            losses.append(loss)
            statistics.append(next(shard.statistics))
        }
        names = header.names
        failure = header.failure
    }
}

extension Communicator {
    /// The reports of all processes, in the order of their ranks.
    ///
    /// - Parameter report: That of this process.
    /// - Returns: All of them, if none is of a failure.
    /// - Throws: In the first process why another or itself cannot go on, where something went
    ///   wrong rather than that it was cancelled; ``EndedTogether`` in all others.
    func agreed(_ report: ShardReport) throws -> [ShardReport] {
        guard process.count > 1 else { return [report] }
        let reports = try gathered(report.bytes()).map(ShardReport.init)
        let failures = reports.enumerated().compactMap { rank, report in
            report.failure.map { (rank, $0) }
        }
        guard
            let (rank, failure) = failures.first(where: { !$0.1.isCancellation })
                ?? failures.first
        else { return reports }
        throw process.isFirst
            ? failure.error(of: try ProcessRank(rank, of: process.count)) : EndedTogether()
    }
}
