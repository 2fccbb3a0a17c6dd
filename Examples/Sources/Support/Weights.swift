private import ArgumentParser

/// Refuses the weight of a loss that is none.
///
/// - Throws: `ValidationError`, which says what may be given.
public func requireWeight(_ value: Float, _ option: String) throws {
    guard value >= 0, value.isFinite else {
        throw ValidationError("\(option) is \(value); it must be 0 or more")
    }
}
