import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen
import WuerstchenTraining

/// Several processes that make the images of one table, in a folder that they share.
extension Evaluate {
    /// Which process this is.
    func process() throws -> ProcessRank {
        let process = try ProcessRank()
        guard process.count == 1 || keep != nil else {
            throw ValidationError(
                "this is \(process): name a folder that all processes see with --keep, where each "
                    + "puts its share of the images")
        }
        return process
    }

    /// Where images are kept; nil where they are not.
    ///
    /// - Parameters:
    ///   - name: A folder in the one that was named.
    ///   - gates: What makes them.
    ///   - source: What identifies the images or captions that go in, and the batches.
    /// - Returns: The folder, with all that its images depend on.
    /// - Throws: What reading the cascade's weights throws.
    func kept(_ name: String, _ gates: CascadeGates, of source: String) throws -> KeptBatches? {
        guard let keep else { return nil }
        let request = GenerationRequest("", stageC: gates.stageC, stageB: gates.stageB)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let record = try encoder.encode(gates.cascade.record(of: request))
        let compressor = try weightsFingerprint(
            ofFile: cascade.checkpoint.folder().appendingPathComponent(
                CheckpointLayout.published.compressor))
        return try KeptBatches(
            in: URL(fileURLWithPath: keep).appendingPathComponent(name),
            record: [
                String(decoding: record, as: UTF8.self), "compressor \(compressor)", source,
            ].joined(separator: ", "))
    }

    /// Makes this process's share of all rows.
    ///
    /// - Parameters:
    ///   - process: Which process this is.
    ///   - make: Makes its share of a row.
    ///   - isMade: Whether all of a row is made.
    /// - Returns: Leave to print the table, for the last to be done; nil for the others.
    /// - Throws: What making throws.
    func share(
        _ process: ProcessRank, make: (Row, (Int) -> Void) throws -> Void,
        isMade: (Row) -> Bool
    ) throws -> Leave? {
        guard process.count > 1, let keep else { return Leave(lock: nil) }
        let line = StatusLine()
        for row in only { try make(row) { line.show("\(row.rawValue) \($0)") } }
        line.show("")
        guard only.allSatisfy(isMade) else {
            line.note("\(process) is done; the last one prints the table")
            return nil
        }
        // Of two that are done at once, one.
        return (try? FolderLock(URL(fileURLWithPath: keep))).map { Leave(lock: $0) }
    }

    /// Leave to print the table, as long as the value lives.
    struct Leave {
        let lock: FolderLock?
    }
}
