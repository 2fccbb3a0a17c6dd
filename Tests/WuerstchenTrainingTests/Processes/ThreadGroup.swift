import Foundation
import Synchronization
import WuerstchenTraining

/// Threads in place of processes.
final class ThreadGroup: @unchecked Sendable {
    private struct Way: Hashable {
        let from: Int
        let to: Int
    }

    private let count: Int
    private let condition = NSCondition()
    /// What was sent and not received yet.
    private var letters: [Way: [[UInt8]]] = [:]

    private init(_ count: Int) { self.count = count }

    /// One of the threads.
    struct Member: Communicator {
        let process: ProcessRank
        fileprivate let group: ThreadGroup

        func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) {
            guard process.rank == root else { return group.receive(bytes, root, process.rank) }
            for other in 0..<process.count where other != root {
                group.send(Array(bytes), root, other)
            }
        }

        func exchange(
            _ sent: UnsafeRawBufferPointer, for received: UnsafeMutableRawBufferPointer,
            with peer: Int
        ) {
            group.send(Array(sent), process.rank, peer)
            group.receive(received, peer, process.rank)
        }

        /// Down the ranks, which is another order than the tree's from four on.
        func sum(_ values: UnsafeMutableBufferPointer<Float>) {
            for root in (0..<process.count).reversed() {
                var theirs = Array(values)
                theirs.withUnsafeMutableBytes { broadcast($0, from: root) }
                if process.rank == 0, root > 0 {
                    for place in values.indices { values[place] += theirs[place] }
                }
            }
            broadcast(UnsafeMutableRawBufferPointer(values), from: 0)
        }
    }

    private func send(_ bytes: [UInt8], _ from: Int, _ to: Int) {
        condition.withLock {
            letters[Way(from: from, to: to), default: []].append(bytes)
            condition.broadcast()
        }
    }

    private func receive(_ bytes: UnsafeMutableRawBufferPointer, _ from: Int, _ to: Int) {
        condition.withLock {
            let way = Way(from: from, to: to)
            while letters[way]?.isEmpty ?? true { condition.wait() }
            guard let letter = letters[way]?.removeFirst() else { return }
            precondition(letter.count == bytes.count, "\(letter.count) bytes for \(bytes.count)")
            bytes.copyBytes(from: letter)
        }
    }

    /// Does something in so many threads.
    ///
    /// - Returns: What each gave or threw, in the order of ranks.
    static func run<Value: Sendable>(
        _ count: Int, _ body: @escaping @Sendable (Member) throws -> Value
    ) throws -> [Result<Value, any Error>] {
        let group = ThreadGroup(count)
        let results = Results<Value>()
        let done = DispatchSemaphore(value: 0)
        let members = try (0..<count).map {
            Member(process: try ProcessRank($0, of: count), group: group)
        }
        for member in members {
            let thread = Thread {
                let result = Result { try body(member) }
                results.value.withLock { $0[member.process.rank] = result }
                done.signal()
            }
            thread.stackSize = 8 << 20
            thread.start()
        }
        for _ in members { done.wait() }
        return results.value.withLock { found in (0..<count).compactMap { found[$0] } }
    }

    /// What the threads gave.
    private final class Results<Value: Sendable>: Sendable {
        let value = Mutex<[Int: Result<Value, any Error>]>([:])
    }
}
