private import ArgumentParser

/// Refuses a number that is no multiple of another or out of range, and names the nearest that are.
public func requireMultiple(
    of unit: Int, in range: ClosedRange<Int>, _ value: Int, _ option: String
) throws {
    guard !range.contains(value) || !value.isMultiple(of: unit) else { return }
    let inside = min(max(value, range.lowerBound), range.upperBound)
    let below = inside / unit * unit
    let above = below + (below == inside ? 0 : unit)
    let nearest = Set([below, above]).filter(range.contains).sorted()
    throw ValidationError(
        "\(option) is \(value); it must be a multiple of \(unit) from \(range.lowerBound) to "
            + "\(range.upperBound), such as \(nearest.map { "\($0)" }.joined(separator: " or "))")
}
