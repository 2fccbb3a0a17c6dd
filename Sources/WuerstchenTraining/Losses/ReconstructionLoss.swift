private import Foundation
public import TensorCore

/// How far an image is from what it should be: mean distance, mean squared distance, and the
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
    ///   - images: `[batch, height, width, channels]`, 0…1.
    ///   - target: The same images as they should be.
    /// - Returns: A tensor without axes.
    public func callAsFunction(_ images: Tensor, _ target: Tensor) -> Tensor {
        let difference = images - target
        let distance = difference.meanAbs() + difference.meanSquare()
        return Tensor.combine(1, distance, edges, difference.meanNeighborDifference())
    }
}

/// The peak signal-to-noise ratio of images 0…1, in decibels: −10 log₁₀ of the mean squared error.
public func peakSignalToNoise(_ images: Tensor, _ target: Tensor) -> Float {
    -10 * log10f(max((images.clamped() - target).meanSquare().elements[0], 1e-12))
}

extension Tensor {
    /// The elements cut off at 0 and 1, as an image shows them.
    package func clamped() -> Tensor { mapped { min(max($0, 0), 1) } }
}
