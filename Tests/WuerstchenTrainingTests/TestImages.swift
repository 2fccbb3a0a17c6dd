import Synchronization
import Wuerstchen

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
