internal import Foundation
internal import Wuerstchen

/// What the training of a cascade was begun with, and how far it is: `cascade.json` in its folder.
struct CascadeRecord: Codable {
    /// The sizes of the networks, Stage A with the unit of its latents when that is known.
    var architecture: CascadeArchitecture
    /// What everything random depends on.
    var seed: UInt64
    /// The steps and times of the pieces.
    var schedule: CascadeSchedule

    private static func file(in folder: URL) -> URL {
        folder.appendingPathComponent("cascade.json")
    }

    /// The record in a folder; nil where no training has begun.
    static func read(in folder: URL) throws -> CascadeRecord? {
        let file = file(in: folder)
        guard FileManager.default.fileExists(atPath: file.path) else { return nil }
        return try decodeJSON(CascadeRecord.self, from: file)
    }

    func write(in folder: URL) throws { try encodeJSON(self, to: Self.file(in: folder)) }
}
