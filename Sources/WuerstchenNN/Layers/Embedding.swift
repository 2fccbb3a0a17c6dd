public import TensorCore

/// A table of learnt vectors.
public struct Embedding: Sendable {
    /// The vectors, `[count, channels]`.
    public let table: Tensor

    /// A layer from the parameter `weight`.
    ///
    /// - Parameters:
    ///   - parameters: The layer's parameters.
    ///   - count: Number of vectors.
    ///   - channels: Channels of a vector.
    ///   - initializer: How the table is drawn.
    /// - Throws: What reading the parameters throws.
    public init(
        _ parameters: Parameters, count: Int, channels: Int,
        initializer: Initializer = .normal(deviation: 1)
    ) throws {
        table = try parameters(
            "weight", [count, channels], role: .embedding, initializer: initializer)
        // Only the rows that are looked up are ever read.
        parameters.release(table)
    }

    /// The vectors of the given numbers.
    ///
    /// - Parameter numbers: Each from 0 up to the number of vectors.
    /// - Returns: `[numbers, channels]`.
    public func callAsFunction(_ numbers: [Int]) -> Tensor { table.embeddingLookup(numbers) }
}
