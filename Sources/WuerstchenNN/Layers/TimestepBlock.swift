private import Foundation
public import TensorCore

/// The timestep as sines and cosines of frequencies from 1 to 1/10000 of `10000 · t`.
///
/// The phase reaches 10000 radians in 32-bit floats, so that one unit in the last place of a
/// frequency shows in the third digit of the result. What published checkpoints were trained with
/// is reached only by the same roundings in the same order.
///
/// - Parameters:
///   - times: One t for each sample, 0 for clean to 1 for noise.
///   - width: Channels of the embedding.
/// - Returns: `[samples, width]`.
public func timestepEmbedding(_ times: [Float], width: Int) -> Tensor {
    let half = width / 2
    let slope = Float(-log(10000.0) / Double(half - 1))
    let frequencies = (0..<half).map { Float(exp(Double(Float($0) * slope))) }
    var elements = [Float](repeating: 0, count: times.count * width)
    for (sample, time) in times.enumerated() {
        for (index, frequency) in frequencies.enumerated() {
            let phase = Double((time * 10000) * frequency)
            elements[sample * width + index] = Float(sin(phase))
            elements[sample * width + half + index] = Float(cos(phase))
        }
    }
    return Tensor(elements, [times.count, width])
}

/// Tells a network the timestep: each channel times 1 + a, plus b, with a and b linear in the
/// embedding (FiLM: Perez et al., 2018). Training begins with a and b of 0.
public struct TimestepBlock: Sendable {
    private let mapper: Linear

    /// A layer from the parameters `mapper.weight` and `mapper.bias`.
    ///
    /// - Parameters:
    ///   - parameters: The block's parameters.
    ///   - channels: Channels of the map.
    ///   - embedding: Channels of the embedding.
    /// - Throws: What reading the parameters throws.
    public init(_ parameters: Parameters, channels: Int, embedding: Int) throws {
        mapper = try Linear(
            parameters.float32["mapper"], embedding, 2 * channels, initializer: .zeros)
    }

    /// What the block does to a map: the layer before it can do it on the way.
    ///
    /// - Parameter embedding: `[batch, embedding]`; see ``timestepEmbedding(_:width:)``.
    /// - Returns: A factor and a summand for each sample and channel.
    public func modulation(_ embedding: Tensor) -> Epilogue.Modulation {
        let samples = embedding.shape[0]
        let mapped = mapper(embedding.reshaped(to: [samples, 1, embedding.shape[1]]))
        let channels = mapped.shape.channels / 2
        let table = mapped.reshaped(to: [samples, 2 * channels])
        return Epilogue.Modulation(
            scale: table.channels(0..<channels), shift: table.channels(channels..<2 * channels))
    }

    /// - Parameters:
    ///   - x: `[batch, height, width, channels]`.
    ///   - embedding: `[batch, embedding]`; see ``timestepEmbedding(_:width:)``.
    /// - Returns: `[batch, height, width, channels]`.
    public func callAsFunction(_ x: Tensor, _ embedding: Tensor) -> Tensor {
        x.modulated(by: modulation(embedding))
    }
}
