public import ArgumentParser
private import Foundation

/// A seed from the command line, where -1 stands for one that is drawn.
public struct Seed: ExpressibleByArgument, Sendable {
    /// The seed.
    public let value: UInt64
    /// Whether it was drawn.
    public let isDrawn: Bool

    /// A given seed.
    public init(_ value: UInt64) {
        (self.value, isDrawn) = (value, false)
    }

    /// A seed in digits, or -1.
    public init?(argument: String) {
        if argument == "-1" { self = .drawn; return }
        guard let value = UInt64(argument) else { return nil }
        self.init(value)
    }

    private init(drawn: UInt64) {
        (value, isDrawn) = (drawn, true)
    }

    /// A random seed of up to ten digits.
    public static var drawn: Seed { Seed(drawn: UInt64(UInt32.random(in: 0...UInt32.max))) }

    /// How it is given again.
    public var defaultValueDescription: String { "\(value)" }

    /// Says on standard error which seed was drawn, so that the work can be done again.
    public func announce() {
        if isDrawn { StatusLine().note("seed \(value)") }
    }
}
