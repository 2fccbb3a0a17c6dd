private import Foundation
public import TensorCore

/// Mean and covariance of features.
public struct FeatureStatistics: Sendable {
    let mean: [Double]
    /// Row by row.
    let covariance: [Double]

    /// The statistics of features `[images, features]`.
    ///
    /// - Precondition: There are at least two images.
    public init(_ features: Tensor) {
        let (rows, width) = (features.shape[0], features.shape[1])
        precondition(rows > 1, "the covariance of \(rows) images")
        let values = features.elements.map(Double.init)
        var mean = [Double](repeating: 0, count: width)
        for row in 0..<rows {
            for column in 0..<width { mean[column] += values[row * width + column] }
        }
        mean = mean.map { $0 / Double(rows) }
        var covariance = [Double](repeating: 0, count: width * width)
        for row in 0..<rows {
            for i in 0..<width {
                let d = values[row * width + i] - mean[i]
                for j in 0..<width {
                    covariance[i * width + j] += d * (values[row * width + j] - mean[j])
                }
            }
        }
        self.mean = mean
        self.covariance = covariance.map { $0 / Double(rows - 1) }
    }

    /// The Fréchet distance to other features, both taken to be normally distributed (Heusel et
    /// al., "GANs Trained by a Two Time-Scale Update Rule", 2017): `|μ₁ − μ₂|² + tr(C₁ + C₂ − 2 (C₁
    /// C₂)^½)`.
    public func distance(to other: FeatureStatistics) -> Double {
        let width = mean.count
        let root = symmetricFunction(covariance, width) { max($0, 0).squareRoot() }
        // (C₁ C₂)^½ has the trace of (C₁^½ C₂ C₁^½)^½, which is symmetric.
        let product = multiplied(multiplied(root, other.covariance, width), root, width)
        let (values, _) = symmetricEigenvalues(product, width)
        let trace = values.reduce(0) { $0 + max($1, 0).squareRoot() }
        var distance = 0.0
        for index in 0..<width {
            let d = mean[index] - other.mean[index]
            distance += d * d
            distance += covariance[index * width + index] + other.covariance[index * width + index]
        }
        return distance - 2 * trace
    }
}

private func multiplied(_ a: [Double], _ b: [Double], _ n: Int) -> [Double] {
    var result = [Double](repeating: 0, count: n * n)
    for i in 0..<n {
        for k in 0..<n {
            let factor = a[i * n + k]
            for j in 0..<n { result[i * n + j] += factor * b[k * n + j] }
        }
    }
    return result
}

/// A function of a symmetric matrix: of its eigenvalues, in the basis of its eigenvectors.
private func symmetricFunction(
    _ matrix: [Double], _ n: Int, _ function: (Double) -> Double
) -> [Double] {
    let (values, vectors) = symmetricEigenvalues(matrix, n)
    var result = [Double](repeating: 0, count: n * n)
    for k in 0..<n {
        let value = function(values[k])
        for i in 0..<n {
            let factor = value * vectors[i * n + k]
            for j in 0..<n { result[i * n + j] += factor * vectors[j * n + k] }
        }
    }
    return result
}

/// Eigenvalues and eigenvectors (as columns) by Jacobi's rotations (1846), until nothing but the
/// diagonal is left.
private func symmetricEigenvalues(
    _ matrix: [Double], _ n: Int
) -> (values: [Double], vectors: [Double]) {
    var a = matrix
    var v = [Double](repeating: 0, count: n * n)
    for i in 0..<n { v[i * n + i] = 1 }
    let scale = a.reduce(0) { $0 + $1 * $1 }
    for _ in 0..<60 {
        var rest = 0.0
        for p in 0..<n {
            for q in 0..<n where p != q { rest += a[p * n + q] * a[p * n + q] }
        }
        if rest <= 1e-22 * scale { break }
        for p in 0..<n {
            for q in p + 1..<n where abs(a[p * n + q]) > 1e-300 {
                let theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q])
                let t = (theta >= 0 ? 1.0 : -1.0) / (abs(theta) + (theta * theta + 1).squareRoot())
                let c = 1 / (t * t + 1).squareRoot()
                let s = t * c
                for k in 0..<n {
                    let (x, y) = (a[k * n + p], a[k * n + q])
                    a[k * n + p] = c * x - s * y
                    a[k * n + q] = s * x + c * y
                }
                for k in 0..<n {
                    let (x, y) = (a[p * n + k], a[q * n + k])
                    a[p * n + k] = c * x - s * y
                    a[q * n + k] = s * x + c * y
                    let (z, w) = (v[k * n + p], v[k * n + q])
                    v[k * n + p] = c * z - s * w
                    v[k * n + q] = s * z + c * w
                }
            }
        }
    }
    return ((0..<n).map { a[$0 * n + $0] }, v)
}
