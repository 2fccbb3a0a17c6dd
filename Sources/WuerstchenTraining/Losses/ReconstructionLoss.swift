private import Foundation
public import TensorCore

/// How far a picture is from what it should be: mean distance, mean squared distance, and the
/// distance of the edges, which keeps them sharp.
public struct ReconstructionLoss: Sendable, Hashable {
    /// The weight of the mean distance of neighbouring pixels' differences.
    public var edges: Float

    /// A loss with a weight for edges.
    public init(edges: Float) {
        self.edges = edges
    }

    /// The loss.
    ///
    /// - Parameters:
    ///   - pictures: `[batch, height, width, channels]`, 0…1.
    ///   - wanted: The same pictures as they should be.
    /// - Returns: A tensor without axes.
    public func callAsFunction(_ pictures: Tensor, _ wanted: Tensor) -> Tensor {
        let difference = pictures - wanted
        let distance = difference.meanMagnitude() + difference.meanSquare()
        return Tensor.combine(1, distance, edges, difference.meanNeighborDifference())
    }
}

/// The peak signal-to-noise ratio of pictures 0…1, in decibels: −10 log₁₀ of the mean squared error.
public func peakSignalToNoise(_ pictures: Tensor, _ wanted: Tensor) -> Float {
    -10 * log10f(max((pictures.clamped() - wanted).meanSquare().elements[0], 1e-12))
}

extension Tensor {
    /// The elements cut off at 0 and 1, as a picture shows them.
    func clamped() -> Tensor { mapped { min(max($0, 0), 1) } }
}
