internal import CWuerstchenKernels
private import Foundation

extension Tensor {
    /// The sum of all elements, as a tensor without axes.
    public func sum() -> Tensor {
        var total = 0.0
        for index in 0..<count { total += Double(pointer[index]) }
        let result = Tensor([Float(total)], [])
        guard Recording.isOn(edge) else { return result }
        let whole = shape
        return result.recorded(from: edge) { [Tensor(repeating: $0.pointer[0], whole)] }
    }

    /// The mean of all elements, as a tensor without axes.
    public func mean() -> Tensor { sum().scaled(by: 1 / Float(max(1, count))) }

    /// The mean of the squared elements, each sample's with a weight of its own, as a tensor without
    /// axes: `Σ wᵢ · mean(xᵢ²) / samples`.
    ///
    /// - Parameter weights: One for each sample of the first axis; nil for ones.
    public func meanSquare(weights: [Float]? = nil) -> Tensor {
        let samples = shape.rank > 0 ? shape[0] : 1
        let length = count / max(1, samples)
        let weights = weights ?? [Float](repeating: 1, count: samples)
        precondition(weights.count == samples, "\(weights.count) weights for \(shape)")
        var total = 0.0
        for sample in 0..<samples {
            let place = pointer + sample * length
            total += Double(weights[sample]) * kernels.dot(place, place, length)
        }
        let result = Tensor([Float(total / Double(max(1, count)))], [])
        guard Recording.isOn(edge) else { return result }
        return result.recorded(from: edge) { gradient in
            let factor = 2 * gradient.pointer[0] / Float(max(1, count))
            var share = Tensor(uninitialized: shape)
            let target = share.mutablePointer()
            parallel(samples) { sample in
                let place = sample * length
                kernels.scale_shift(
                    target + place, pointer + place, factor * weights[sample], 0, length)
            }
            return [share]
        }
    }

    /// The sum of the squared elements.
    package func squareSum() -> Double { kernels.dot(pointer, pointer, count) }

    /// The mean over rows of the cross-entropy of the softmax of each row with a class, as a tensor
    /// without axes.
    ///
    /// - Parameters:
    ///   - classes: For each row of the innermost axis the class, or nil for a row that does not count.
    ///     The mean is over those that do; without any it is 0.
    /// - Returns: The mean, in nats.
    public func crossEntropy(_ classes: [Int?]) -> Tensor {
        let width = shape.channels
        let rows = count / max(1, width)
        precondition(classes.count == rows, "\(classes.count) classes for \(shape)")
        let counted = max(1, classes.count { $0 != nil })
        var total = 0.0
        // The gradient for free: softmax − one-hot.
        let change = Tensor(shape) { target in
            for row in 0..<rows {
                let logits = pointer + row * width
                guard let wanted = classes[row] else {
                    for column in 0..<width { target[row * width + column] = 0 }
                    continue
                }
                precondition((0..<width).contains(wanted), "class \(wanted) of \(width)")
                let largest = (0..<width).reduce(-Float.infinity) { max($0, logits[$1]) }
                let exponentials = (0..<width).map { exp(Double(logits[$0] - largest)) }
                let sum = exponentials.reduce(0, +)
                total += log(sum) - Double(logits[wanted] - largest)
                for column in 0..<width {
                    target[row * width + column] =
                        Float(exponentials[column] / sum) - (column == wanted ? 1 : 0)
                }
            }
        }
        let result = Tensor([Float(total / Double(counted))], [])
        guard Recording.isOn(edge) else { return result }
        return result.recorded(from: edge) { gradient in
            [change.scaled(by: gradient.pointer[0] / Float(counted))]
        }
    }
}
