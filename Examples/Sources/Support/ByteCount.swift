public import ArgumentParser
private import Foundation

/// A number of bytes, such as 2G (2·10⁹) or 2Gi (2·2³⁰).
public struct ByteCount: ExpressibleByArgument, CustomStringConvertible, Sendable {
    /// The number.
    public let bytes: Int

    /// So many bytes.
    public init(bytes: Int) {
        self.bytes = bytes
    }

    /// A number with a unit or without.
    public init?(argument: String) {
        let digits = argument.prefix { $0.isNumber || $0 == "." }
        var unit = argument.dropFirst(digits.count).lowercased()
        if unit.hasSuffix("b") { unit.removeLast() }
        let base = unit.hasSuffix("i") ? 1024.0 : 1000.0
        if unit.hasSuffix("i") { unit.removeLast() }
        let powers = ["": 0.0, "k": 1, "m": 2, "g": 3, "t": 4]
        guard let power = powers[unit], let number = Double(digits) else { return nil }
        let bytes = number * pow(base, power)
        guard bytes >= 1, bytes < 1e18 else { return nil }
        self.bytes = Int(bytes)
    }

    /// The number in MB or GB.
    public var description: String {
        bytes < 1_000_000_000
            ? "\((bytes + 500_000) / 1_000_000) MB"
            : String(format: "%.2f GB", Double(bytes) / 1e9)
    }
}
