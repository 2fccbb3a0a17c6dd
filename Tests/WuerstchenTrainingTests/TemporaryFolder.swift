import Foundation
import Synchronization
import Wuerstchen

/// Runs a test with an empty folder, which is removed afterwards.
func withFolder<Result>(_ body: (URL) throws -> Result) throws -> Result {
    let url = FileManager.default.temporaryDirectory
        .appendingPathComponent("training-\(UUID().uuidString)", isDirectory: true)
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(at: url) }
    return try body(url)
}

/// An empty folder that is removed when nobody holds it any more.
final class TemporaryFolder {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory
            .appendingPathComponent("training-\(UUID().uuidString)", isDirectory: true)
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(at: url) }
}

/// Keeps what was reported, from whichever thread.
final class Messages: Sendable {
    private let kept = Mutex<[String]>([])

    var all: [String] { kept.withLock { $0 } }

    func add(_ message: String) {
        kept.withLock { $0.append(message) }
    }
}

extension Image {
    /// An image whose pixels a function of their place gives.
    static func drawn(
        _ width: Int, _ height: Int, _ pixel: (Int, Int) -> (UInt8, UInt8, UInt8)
    ) throws -> Image {
        var pixels: [UInt8] = []
        for y in 0..<height {
            for x in 0..<width {
                let (red, green, blue) = pixel(x, y)
                pixels += [red, green, blue]
            }
        }
        return try Image(width: width, height: height, pixels: pixels)
    }

    /// An image of one colour.
    static func plain(_ width: Int, _ height: Int, _ value: UInt8) throws -> Image {
        try drawn(width, height) { _, _ in (value, value, value) }
    }
}
