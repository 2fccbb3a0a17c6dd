import ArgumentParser

/// Refuses a share of the learning rates that makes no sense.
///
/// - Throws: `ValidationError`, which says what may be given.
func requireRateFactor(_ value: Float) throws {
    guard value > 0, value <= 10 else {
        throw ValidationError("--rate-factor must be positive and at most 10")
    }
}
