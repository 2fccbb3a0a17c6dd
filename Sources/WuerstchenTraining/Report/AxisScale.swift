import Foundation

/// How the values of an axis become places from 0 to 1, and where its ticks are.
struct AxisScale {
    /// A place with its number.
    struct Tick {
        let value: Double
        let label: String
    }

    /// The values at both ends, or their decimal logarithms.
    private let low: Double
    private let high: Double
    private let isLogarithmic: Bool

    /// An axis that shows all of some values, with a little room around them.
    ///
    /// - Parameters:
    ///   - values: Finite, and positive for a logarithmic axis.
    ///   - isLogarithmic: Whether equal ratios get equal room.
    ///   - padding: The room at either end, as part of the axis.
    init(showing values: some Sequence<Double>, isLogarithmic: Bool = false, padding: Double) {
        let places = values.map { isLogarithmic ? log10($0) : $0 }
        var low = places.min() ?? 0
        var high = places.max() ?? 1
        // A single value stands in the middle.
        if high - low <= abs(low) * 1e-9 {
            let room = isLogarithmic || low == 0 ? 0.5 : abs(low) / 2
            (low, high) = (low - room, high + room)
        }
        let room = (high - low) * padding
        self.low = low - room
        self.high = high + room
        self.isLogarithmic = isLogarithmic
    }

    /// From 0 at the lower end to 1 at the upper; beyond them for values that are not shown.
    func place(of value: Double) -> Double {
        ((isLogarithmic ? log10(value) : value) - low) / (high - low)
    }

    /// About as many ticks as asked for, at round values.
    func ticks(about count: Int, wholeNumbers: Bool = false) -> [Tick] {
        if isLogarithmic, let ticks = logarithmicTicks(about: count) { return ticks }
        let (low, high) = isLogarithmic ? (pow(10, low), pow(10, high)) : (low, high)
        let rough = (high - low) / Double(max(1, count))
        let magnitude = pow(10, log10(rough).rounded(.down))
        // Whichever is nearest by its ratio.
        let factor =
            switch rough / magnitude {
            case ..<2.0.squareRoot(): 1.0
            case ..<10.0.squareRoot(): 2.0
            case ..<50.0.squareRoot(): 5.0
            default: 10.0
            }
        var step = magnitude * factor
        if wholeNumbers { step = max(1, step) }
        guard step > 0, step.isFinite else { return [] }
        let first = (low / step).rounded(.up)
        return (0...4 * max(1, count)).map { (first + Double($0)) * step }
            .prefix { $0 <= high }
            .map { Tick(value: $0, label: Self.label($0, step: step)) }
    }

    /// Powers of ten, with their double and their quintuple where there are few; nil where even
    /// these are too few.
    private func logarithmicTicks(about count: Int) -> [Tick]? {
        let decades = Int(low.rounded(.down))...Int(high.rounded(.up))
        let every = max(1, Int(((high - low) / Double(max(1, count))).rounded(.up)))
        let factors: [Double] = high - low > 3 ? [1] : [1, 2, 5]
        let ticks = decades.filter { $0 % every == 0 }.flatMap { decade in
            factors.map { $0 * pow(10, Double(decade)) }
        }.filter { (low...high).contains(log10($0)) }
        guard ticks.count >= 3 else { return nil }
        return ticks.map { value in
            Tick(value: value, label: String(format: "%.6g", value))
        }
    }

    /// A number as short as its distance from the next tick allows.
    private static func label(_ value: Double, step: Double) -> String {
        // No "-0".
        let value = value == 0 ? 0 : value
        for (unit, name) in [(1e9, "G"), (1e6, "M"), (1e3, "k")]
        where abs(value) >= unit && step >= unit / 10 {
            return String(format: "%.6g", value / unit) + name
        }
        guard abs(value) < 1e6, step > 1e-6 else { return String(format: "%.3g", value) }
        let digits = max(0, Int((-log10(step)).rounded(.up)))
        return String(format: "%.\(digits)f", value)
    }
}
