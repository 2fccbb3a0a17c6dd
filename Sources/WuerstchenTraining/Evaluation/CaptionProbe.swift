private import Foundation
public import TensorCore

/// Tells which caption belongs to an image, without knowing what captions are about: a linear map
/// from an image's features to the words of its caption, learnt on the spot by ridge regression
/// (Hoerl and Kennard, 1970).
public struct CaptionProbe: Sendable {
    private let words: [String: Int]
    /// How much each word tells, by how seldom it is.
    private let weights: [Double]
    /// `[features + 1][words]`; the last row is what all images have in common.
    private let map: [[Double]]
    private let inputs: Standardization

    /// The fewest captioned images that are learnt from.
    public static let smallestCount = 20
    private static let mostWords = 512

    /// A probe learnt from images and their captions; nil where there are fewer than
    /// ``smallestCount`` captions, or no two words that tell some of them from others.
    ///
    /// - Parameters:
    ///   - features: `[images, features]`
    ///   - captions: The captions; images without one are left out.
    public init?(features: Tensor, captions: [String]) {
        let used = captions.indices.filter { !captions[$0].isEmpty }
        guard used.count >= Self.smallestCount else { return nil }
        let bags = used.map { Set(Self.words(of: captions[$0])) }
        var counts: [String: Int] = [:]
        for word in bags.joined() { counts[word, default: 0] += 1 }
        let telling = counts.filter { $0.value > 1 && $0.value < used.count }
            .sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(Self.mostWords)
        guard telling.count > 1 else { return nil }
        let words = Dictionary(uniqueKeysWithValues: telling.enumerated().map { ($1.key, $0) })
        let weights = telling.map { log(Double(used.count) / Double($0.value)) }

        let all = rows(of: features)
        let rows = used.map { all[$0] }
        let inputs = Standardization(of: rows)
        (self.words, self.weights, self.inputs) = (words, weights, inputs)
        let targets = bags.map { Self.vector(of: $0, words: words, weights: weights) }
        map = ridge(rows.map { inputs($0) }, targets, strength: 0.1 * Double(rows.count))
    }

    /// For each image the place of its own caption among all, by how well it fits; 0 is the best.
    ///
    /// - Parameters:
    ///   - features: `[images, features]`, as the probe learnt from.
    ///   - captions: The images' captions. Equal ones count once.
    /// - Returns: The places, in the order of the images.
    public func ranks(features: Tensor, captions: [String]) -> [Int] {
        let candidates = Array(Set(captions)).sorted()
        let vectors = candidates.map {
            Self.vector(of: Set(Self.words(of: $0)), words: words, weights: weights)
        }
        return zip(rows(of: features), captions).map { row, caption in
            var predicted = [Double](repeating: 0, count: weights.count)
            for (value, line) in zip(inputs(row), map) {
                for word in predicted.indices { predicted[word] += value * line[word] }
            }
            func score(_ vector: [Double]) -> Double {
                zip(predicted, vector).reduce(0) { $0 + $1.0 * $1.1 }
            }
            let scores = vectors.map(score)
            let own = candidates.firstIndex(of: caption).map { scores[$0] } ?? -.infinity
            return scores.count { $0 > own }
        }
    }

    private static func words(of caption: String) -> [String] {
        caption.lowercased().split { !$0.isLetter && !$0.isNumber }.map(String.init)
    }

    /// A caption as a direction: its words by how much they tell.
    private static func vector(
        of bag: Set<String>, words: [String: Int], weights: [Double]
    ) -> [Double] {
        var vector = [Double](repeating: 0, count: weights.count)
        for place in bag.compactMap({ words[$0] }) { vector[place] = weights[place] }
        let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return length > 0 ? vector.map { $0 / length } : vector
    }
}

/// The rows of `[images, features]`.
private func rows(of features: Tensor) -> [[Double]] {
    let (width, elements) = (features.shape[1], features.elements)
    return (0..<features.shape[0]).map { row in
        elements[row * width..<(row + 1) * width].map(Double.init)
    }
}

/// Features of mean 0 and deviation 1, as they were in some rows, and one that is always 1.
private struct Standardization: Sendable {
    private let mean: [Double]
    private let deviation: [Double]

    init(of rows: [[Double]]) {
        let count = Double(rows.count)
        let columns = rows[0].indices
        let mean = columns.map { column in rows.reduce(0) { $0 + $1[column] } / count }
        self.mean = mean
        deviation = columns.map { column in
            let squares = rows.reduce(0) { $0 + pow($1[column] - mean[column], 2) }
            return max(1e-6, (squares / count).squareRoot())
        }
    }

    func callAsFunction(_ row: [Double]) -> [Double] {
        row.indices.map { (row[$0] - mean[$0]) / deviation[$0] } + [1]
    }
}

/// The map with the least squared error and, in so far as `strength` says, small numbers.
private func ridge(
    _ inputs: [[Double]], _ targets: [[Double]], strength: Double
) -> [[Double]] {
    guard let width = inputs.first?.count, let outputs = targets.first?.count else { return [] }
    var matrix = [[Double]](repeating: [Double](repeating: 0, count: width), count: width)
    var right = [[Double]](repeating: [Double](repeating: 0, count: outputs), count: width)
    for (input, target) in zip(inputs, targets) {
        for (row, value) in input.enumerated() {
            for column in 0..<width { matrix[row][column] += value * input[column] }
            for output in 0..<outputs { right[row][output] += value * target[output] }
        }
    }
    // What all have in common is not made smaller.
    for index in 0..<width - 1 { matrix[index][index] += strength }
    // By elimination; the matrix is symmetric and positive definite, so that no row need move.
    for pivot in 0..<width {
        let inverse = 1 / matrix[pivot][pivot]
        for row in pivot + 1..<width {
            let factor = matrix[row][pivot] * inverse
            guard factor != 0 else { continue }
            for column in pivot..<width { matrix[row][column] -= factor * matrix[pivot][column] }
            for output in 0..<outputs { right[row][output] -= factor * right[pivot][output] }
        }
    }
    for pivot in (0..<width).reversed() {
        for output in 0..<outputs {
            var value = right[pivot][output]
            for column in pivot + 1..<width {
                value -= matrix[pivot][column] * right[column][output]
            }
            right[pivot][output] = value / matrix[pivot][pivot]
        }
    }
    return right
}
