private import Foundation

/// The steps of a student in the flow's time, equal ones, and the times that it learns to take them
/// from.
struct StepGrid: Sendable, Hashable {
    /// The number of steps.
    let steps: Int

    /// Where the steps begin.
    var times: [Double] { (0..<steps).map { Double($0) / Double(steps) } }

    /// Further times, for a student of one or two steps, which sees too few otherwise: those of
    /// four steps that are not its own. From there it goes to the end of the step.
    var extraTimes: [Double] {
        steps > 2 ? [] : StepGrid(steps: 4).times.filter { !times.contains($0) }
    }

    /// A time to learn from: mostly where a step begins, and one in four times in between where
    /// there are such times.
    func draw(_ random: inout RandomStream) -> Double {
        let isExtra = !extraTimes.isEmpty && random.uniform() < 0.25
        let choice = isExtra ? extraTimes : times
        return choice[random.integer(below: choice.count)]
    }

    /// Where the step ends that a time belongs to.
    func end(of time: Double) -> Double { stop(after: time, before: 1) }

    /// Where steps end on the way from a time to another.
    func stops(from start: Double, to end: Double) -> [Double] {
        var result: [Double] = []
        var time = start
        while time < end {
            time = stop(after: time, before: end)
            result.append(time)
        }
        return result
    }

    /// The first of the steps' ends that is later than a time.
    private func stop(after time: Double, before end: Double) -> Double {
        // What is a rounding error away from the end of a step is there.
        let number = (time * Double(steps) + 1e-9).rounded(.down) + 1
        let next = number / Double(steps)
        return next > end - 1e-9 ? end : next
    }
}
