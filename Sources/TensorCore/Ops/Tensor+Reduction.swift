internal import CWuerstchenKernels
private import Foundation

extension Tensor {
    /// The sum of all elements, as a tensor without axes.
    public func sum() -> Tensor {
        var total = 0.0
        for index in 0..<count { unsafe total += Double(pointer[index]) }
        let result = Tensor([Float(total)], [])
        guard Recording.isOn(edge) else { return result }
        let whole = shape
        return result.recorded(from: edge) { [Tensor(repeating: $0.element(0), whole)] }
    }

    /// The mean of all elements, as a tensor without axes.
    public func mean() -> Tensor { sum().scaled(by: 1 / Float(max(1, count))) }

    /// The mean of the squared elements, each sample's with a weight of its own.
    ///
    /// - Parameter weights: One for each sample of the first axis; nil for ones.
    /// - Returns: `Σ wᵢ · mean(xᵢ²) / samples`, as a tensor without axes.
    public func meanSquare(weights: [Float]? = nil) -> Tensor {
        let samples = shape.rank > 0 ? shape[0] : 1
        let length = count / max(1, samples)
        let weights = weights ?? [Float](repeating: 1, count: samples)
        precondition(weights.count == samples, "\(weights.count) weights for \(shape)")
        var total = 0.0
        for sample in 0..<samples {
            let place = unsafe pointer + sample * length
            unsafe total += Double(weights[sample]) * kernels.dot(place, place, length)
        }
        let result = Tensor([Float(total / Double(max(1, count)))], [])
        guard Recording.isOn(edge) else { return result }
        return result.recorded(from: edge) { gradient in
            let factor = 2 * gradient.element(0) / Float(max(1, count))
            var share = Tensor(uninitialized: shape)
            let target = unsafe share.mutablePointer()
            parallel(samples) { sample in
                let place = sample * length
                unsafe kernels.scale_shift(
                    target + place, pointer + place, factor * weights[sample], 0, length)
            }
            return [share]
        }
    }

    /// The mean of the elements' distances from zero, as a tensor without axes.
    public func meanAbs() -> Tensor { abs().mean() }

    /// How much neighbouring pixels of a channels-last image differ: the mean magnitude of the
    /// differences along rows plus that along columns, as a tensor without axes.
    public func meanNeighborDifference() -> Tensor {
        let (batch, height, width, channels) = axes4
        let length = width * channels
        let across = 1 / Float(max(1, batch * height * (width - 1) * channels))
        let down = 1 / Float(max(1, batch * (height - 1) * length))
        // Each pair of neighbours adds its distance, and the sign of it to the gradient of both.
        var change = Tensor(repeating: 0, shape)
        let target = unsafe change.mutablePointer()
        let sums = Storage<Float>(count: 2 * batch)
        parallel(batch) { sample in
            let x = unsafe pointer + sample * height * length
            let d = unsafe target + sample * height * length
            var totals = (across: 0.0, down: 0.0)
            func add(_ first: Int, _ second: Int, _ share: Float, _ total: inout Double) {
                let difference = unsafe x[second] - x[first]
                total += Double(Swift.abs(difference))
                let step = difference > 0 ? share : difference < 0 ? -share : 0
                unsafe d[second] += step
                unsafe d[first] -= step
            }
            for row in 0..<height {
                for place in row * length..<(row + 1) * length - channels {
                    add(place, place + channels, across, &totals.across)
                }
                if row + 1 < height {
                    for place in row * length..<(row + 1) * length {
                        add(place, place + length, down, &totals.down)
                    }
                }
            }
            unsafe sums.base[2 * sample] = Float(totals.across)
            unsafe sums.base[2 * sample + 1] = Float(totals.down)
        }
        var total = 0.0
        for sample in 0..<batch {
            unsafe total += Double(
                sums.base[2 * sample] * across + sums.base[2 * sample + 1] * down)
        }
        let result = Tensor([Float(total)], [])
        guard Recording.isOn(edge) else { return result }
        return result.recorded(from: edge) { [change] gradient in
            [change.scaled(by: gradient.element(0))]
        }
    }

    /// The sum of the squared elements.
    package func squareSum() -> Double { unsafe kernels.dot(pointer, pointer, count) }

    /// The mean over rows of the cross-entropy of the softmax of each row with a class.
    ///
    /// - Parameter classes: For each row of the innermost axis the class, or nil for a row that
    ///   does not count. The mean is over those that do; without any it is 0.
    /// - Returns: The mean in nats, as a tensor without axes.
    public func crossEntropy(_ classes: [Int?]) -> Tensor {
        let width = shape.channels
        let rows = count / max(1, width)
        precondition(classes.count == rows, "\(classes.count) classes for \(shape)")
        let counted = max(1, classes.count { $0 != nil })
        var total = 0.0
        // The gradient for free: softmax − one-hot.
        let change = unsafe Tensor(shape) { target in
            for row in 0..<rows {
                let logits = unsafe pointer + row * width
                guard let wanted = classes[row] else {
                    for column in 0..<width { unsafe target[row * width + column] = 0 }
                    continue
                }
                precondition((0..<width).contains(wanted), "class \(wanted) of \(width)")
                let largest = (0..<width).reduce(-Float.infinity) { unsafe max($0, logits[$1]) }
                let exponentials = (0..<width).map { unsafe exp(Double(logits[$0] - largest)) }
                let sum = exponentials.reduce(0, +)
                unsafe total += log(sum) - Double(logits[wanted] - largest)
                for column in 0..<width {
                    unsafe target[row * width + column] =
                        Float(exponentials[column] / sum) - (column == wanted ? 1 : 0)
                }
            }
        }
        let result = Tensor([Float(total / Double(counted))], [])
        guard Recording.isOn(edge) else { return result }
        return result.recorded(from: edge) { gradient in
            [change.scaled(by: gradient.element(0) / Float(counted))]
        }
    }
}
