private import Foundation
package import TensorCore

/// The operations again as plain loops in double precision, to compare with.
package enum Twin {
    package static func activate(_ x: Double, _ activation: Activation) -> Double {
        switch activation {
        case .identity: x
        case .gelu: x * 0.5 * erfc(-x * 0.5.squareRoot())
        case .quickGELU: x * sigmoid(1.702 * x)
        case .silu: x * sigmoid(x)
        case .leakyReLU: x < 0 ? 0.2 * x : x
        case .sigmoid: sigmoid(x)
        }
    }

    package static func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }

    /// The numbers of a row after layer normalisation.
    package static func layerNorm(
        _ row: [Double], epsilon: Double, scale: Double = 1, shift: Double = 0
    ) -> [Double] {
        let mean = row.reduce(0, +) / Double(row.count)
        let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(row.count)
        let factor = scale / (variance + epsilon).squareRoot()
        return row.map { ($0 - mean) * factor + shift }
    }

    /// The product of a term's rows with its matrix.
    package static func product(
        _ input: Tensor, _ weight: Tensor, features: Range<Int>? = nil, inputScale: Tensor? = nil
    ) -> [Double] {
        let depth = input.shape.channels
        let rows = input.count / depth
        let (outputs, stride) = (weight.shape[0], weight.shape[1])
        let first = features?.lowerBound ?? 0
        let (x, w) = (input.doubles, weight.doubles)
        let factors = inputScale?.doubles
        let rowsOfSample = rows / input.shape[0]
        var result = [Double](repeating: 0, count: rows * outputs)
        for row in 0..<rows {
            var values = Array(x[row * depth..<(row + 1) * depth])
            if let factors {
                let sample = row / rowsOfSample
                for index in 0..<depth { values[index] *= factors[sample * depth + index] }
            }
            for output in 0..<outputs {
                var sum = 0.0
                for index in 0..<depth { sum += values[index] * w[output * stride + first + index] }
                result[row * outputs + output] = sum
            }
        }
        return result
    }

    /// What an epilogue makes of sums, and for each sample and output the sum of the squared
    /// activated values.
    package static func epilogue(
        _ sums: [Double], samples: Int, outputs: Int, _ epilogue: Epilogue
    ) -> (values: [Double], sumOfSquares: [Double]) {
        let scale = epilogue.scale?.doubles
        let bias = epilogue.bias?.doubles
        let residual = epilogue.residual?.doubles
        let factor = epilogue.modulation?.scale.doubles
        let summand = epilogue.modulation?.shift.doubles
        let ofSample = sums.count / samples
        var sumOfSquares = [Double](repeating: 0, count: samples * outputs)
        let values = sums.indices.map { index in
            let channel = index % outputs
            let place = index / ofSample * outputs + channel
            var y = sums[index] * (scale?[channel] ?? 1) + (bias?[channel] ?? 0)
            y = activate(y, epilogue.activation)
            sumOfSquares[place] += y * y
            y = (residual?[index] ?? 0) + Double(epilogue.gain) * y
            return y * (1 + (factor?[place] ?? 0)) + (summand?[place] ?? 0)
        }
        return (values, sumOfSquares)
    }

    /// A convolution with `[outputs, channels, kernel, kernel]`, PyTorch's layout.
    package static func convolution(
        _ input: Tensor, _ weight: Tensor, stride: Int, padding: Int
    ) -> (values: [Double], shape: Shape) {
        let (batch, height, width) = (input.shape[0], input.shape[1], input.shape[2])
        let (outputs, channels, kernel) = (weight.shape[0], weight.shape[1], weight.shape[2])
        let shape: Shape = [
            batch, (height + 2 * padding - kernel) / stride + 1,
            (width + 2 * padding - kernel) / stride + 1, outputs,
        ]
        let (x, w) = (input.doubles, weight.doubles)
        let values = shape.map { place in
            var sum = 0.0
            for i in 0..<kernel {
                let row = place[1] * stride - padding + i
                for j in 0..<kernel {
                    let column = place[2] * stride - padding + j
                    guard (0..<height).contains(row), (0..<width).contains(column) else { continue }
                    let pixel = ((place[0] * height + row) * width + column) * channels
                    let tap = place[3] * channels * kernel * kernel + i * kernel + j
                    for channel in 0..<channels {
                        sum += x[pixel + channel] * w[tap + channel * kernel * kernel]
                    }
                }
            }
            return sum
        }
        return (values, shape)
    }

    /// A transposed convolution with `[channels, outputs, kernel, kernel]`, PyTorch's layout: each
    /// input pixel adds a multiple of the kernel to the result.
    package static func transposedConvolution(
        _ input: Tensor, _ weight: Tensor, bias: Tensor?, stride: Int, padding: Int
    ) -> (values: [Double], shape: Shape) {
        let (height, width, channels) = (input.shape[1], input.shape[2], input.shape[3])
        let (outputs, kernel) = (weight.shape[1], weight.shape[2])
        let shape: Shape = [
            input.shape[0], (height - 1) * stride - 2 * padding + kernel,
            (width - 1) * stride - 2 * padding + kernel, outputs,
        ]
        let (x, w, b) = (input.doubles, weight.doubles, bias?.doubles)
        var values = shape.map { b?[$0[3]] ?? 0 }
        _ = input.shape.map { place in
            let value = x[((place[0] * height + place[1]) * width + place[2]) * channels + place[3]]
            for i in 0..<kernel {
                let row = place[1] * stride + i - padding
                for j in 0..<kernel {
                    let column = place[2] * stride + j - padding
                    guard (0..<shape[1]).contains(row), (0..<shape[2]).contains(column) else {
                        continue
                    }
                    let pixel = ((place[0] * shape[1] + row) * shape[2] + column) * outputs
                    for output in 0..<outputs {
                        let tap = ((place[3] * outputs + output) * kernel + i) * kernel + j
                        values[pixel + output] += value * w[tap]
                    }
                }
            }
        }
        return (values, shape)
    }

    /// A depthwise convolution with `[kernel · kernel, channels]`, around the image zeros or the
    /// nearest pixel.
    package static func depthwise(
        _ input: Tensor, _ weight: Tensor, bias: Tensor, kernel: Int, stride: Int = 1,
        replicates: Bool = false
    ) -> (values: [Double], shape: Shape) {
        let (height, width, channels) = (input.shape[1], input.shape[2], input.shape[3])
        let margin = kernel / 2
        let shape: Shape = [
            input.shape[0], (height + 2 * margin - kernel) / stride + 1,
            (width + 2 * margin - kernel) / stride + 1, channels,
        ]
        let (x, w, b) = (input.doubles, weight.doubles, bias.doubles)
        let values = shape.map { place in
            var sum = b[place[3]]
            for tap in 0..<kernel * kernel {
                let row = place[1] * stride - margin + tap / kernel
                let column = place[2] * stride - margin + tap % kernel
                let near = (min(max(row, 0), height - 1), min(max(column, 0), width - 1))
                if !replicates && near != (row, column) { continue }
                let pixel = (place[0] * height + near.0) * width + near.1
                sum += x[pixel * channels + place[3]] * w[tap * channels + place[3]]
            }
            return sum
        }
        return (values, shape)
    }

    /// Attention with the scores of all pairs.
    package static func attention(
        _ queries: Tensor, _ segments: [Tensor.KeyValues], heads: Int, causal: Bool = false
    ) -> [Double] {
        let (samples, length, channels) = (queries.shape[0], queries.shape[1], queries.shape[2])
        let depth = channels / heads
        let q = queries.doubles
        let parts = segments.map { ($0.keys.doubles, $0.values.doubles, $0.mask?.doubles) }
        var result = [Double](repeating: 0, count: q.count)
        for row in 0..<samples * length {
            for head in 0..<heads {
                let place = row * channels + head * depth
                var weights: [Double] = []
                var places: [(part: Int, place: Int)] = []
                for (part, segment) in segments.enumerated() {
                    let positions = segment.keys.shape[1]
                    let owner = row / length / (samples / segment.keys.shape[0])
                    for key in 0..<(causal ? min(positions, row % length + 1) : positions) {
                        let other = (owner * positions + key) * channels + head * depth
                        var score = 0.0
                        for index in 0..<depth {
                            score += q[place + index] * parts[part].0[other + index]
                        }
                        weights.append(
                            score / Double(depth).squareRoot()
                                + (parts[part].2?[owner * positions + key] ?? 0))
                        places.append((part, other))
                    }
                }
                let largest = weights.max() ?? 0
                weights = weights.map { exp($0 - largest) }
                let sum = weights.reduce(0, +)
                for (weight, (part, other)) in zip(weights, places) where weight > 0 {
                    for index in 0..<depth {
                        result[place + index] += weight / sum * parts[part].1[other + index]
                    }
                }
            }
        }
        return result
    }
}

extension Tensor {
    /// The elements in double precision.
    package var doubles: [Double] { elements.map(Double.init) }
}

extension Shape {
    /// One result for each place of a shape with four axes, in row-major order.
    fileprivate func map<Result>(_ body: ([Int]) -> Result) -> [Result] {
        var results: [Result] = []
        results.reserveCapacity(count)
        for a in 0..<self[0] {
            for b in 0..<self[1] {
                for c in 0..<self[2] {
                    for d in 0..<self[3] { results.append(body([a, b, c, d])) }
                }
            }
        }
        return results
    }
}
