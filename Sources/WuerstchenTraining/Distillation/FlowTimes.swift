/// Which of a flow's times are learnt: those in a range, equally.
public struct FlowTimes: Sendable, Hashable {
    /// The times τ, 0 for noise to 1 for data.
    let range: ClosedRange<Double>

    /// All: reflow, which straightens the flow of the couplings.
    public static let uniform = FlowTimes(range: 0...1)
    /// The beginning alone: distillation to one step, `u = ε + v(ε, 0)`.
    public static let beginning = FlowTimes(range: 0...0)

    /// The steps that a student of these times takes; nil for any number.
    public var steps: Int? { self == .beginning ? 1 : nil }

    /// What a training of them is called.
    var name: String { self == .beginning ? "one-step" : "reflow" }

    /// Times for some samples, spread over the range.
    func draw(_ count: Int, _ random: inout RandomStream) -> [Double] {
        let width = range.upperBound - range.lowerBound
        return random.spread(count).map { range.lowerBound + width * Double($0) }
    }
}
