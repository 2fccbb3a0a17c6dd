import Foundation

/// The trend of noisy values: at each, the mean of all with weights that fall off exponentially to
/// both sides. Unlike a running average it does not lag behind.
///
/// At first a training changes as much in a few steps as later in thousands. The first values
/// therefore weigh over a shorter reach, an eighth of their number.
///
/// - Parameters:
///   - values: Any finite values.
///   - reach: After how many values a weight has fallen to 1/e.
///   - first: How many values of the training come before these.
/// - Returns: The trend at each value.
func smoothed(_ values: [Double], reach: Double, first: Int = 0) -> [Double] {
    guard reach > 0 else { return values }
    // From each value to the next.
    let decays = values.indices.map { exp(-1 / min(reach, 1 + Double(first + $0) / 8)) }
    var sums = values
    var weights = [Double](repeating: 1, count: values.count)
    for step in [1, -1] {
        var (sum, weight) = (0.0, 0.0)
        for index in step > 0 ? Array(values.indices) : values.indices.reversed() {
            sums[index] += sum
            weights[index] += weight
            let decay = step > 0 ? decays[index] : decays[max(index - 1, 0)]
            sum = (sum + values[index]) * decay
            weight = (weight + 1) * decay
        }
    }
    return zip(sums, weights).map { $0 / $1 }
}
