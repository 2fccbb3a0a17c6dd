/// How far floats are from numbers that a plain loop in double precision gives.
package struct Difference: CustomStringConvertible {
    /// Set when there are more or fewer numbers than expected.
    package let countProblem: String?
    /// The largest absolute error; infinite where only one of the two is finite.
    package private(set) var largest = 0.0
    /// Where the largest error is.
    package private(set) var place = 0
    /// The sum of the squared errors over the sum of the expected squares.
    package private(set) var normalizedSquare = 0.0
    private var atWorst = ""

    package init(_ got: [Float], _ want: [Double]) {
        countProblem =
            got.count == want.count ? nil : "\(got.count) numbers where \(want.count) are expected"
        var errors = 0.0
        var squares = 0.0
        for (index, (got, want)) in zip(got, want).enumerated() {
            let error = Difference.between(Double(got), want)
            errors += error * error
            squares += want.isFinite ? want * want : 0
            if error > largest {
                (largest, place) = (error, index)
                atWorst = ", \(got) where \(want) is expected"
            }
        }
        normalizedSquare = errors == 0 ? 0 : errors / max(squares, .leastNormalMagnitude)
    }

    private static func between(_ got: Double, _ want: Double) -> Double {
        if got.isNaN && want.isNaN || got == want { return 0 }
        return got.isFinite && want.isFinite ? abs(got - want) : .infinity
    }

    package var description: String {
        countProblem
            ?? "normalized square error \(Float(normalizedSquare)), largest error "
            + "\(Float(largest)) at \(place)\(atWorst)"
    }
}
