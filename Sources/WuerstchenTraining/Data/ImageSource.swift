public import TensorCore

/// Images with captions, all of one size.
public struct ImageBatch: Sendable {
    /// `[batch, height, width, 3]`, 0…1.
    public var pixels: Tensor
    /// A caption for each image; empty where there is none.
    public var captions: [String]

    /// A batch of the given images.
    public init(pixels: Tensor, captions: [String]) {
        self.pixels = pixels
        self.captions = captions
    }
}

/// What a trainer learns from: batches of captioned images, as many as it asks for.
///
/// A batch is a function of its number and of the source's own seed alone. Training that goes on at
/// some step therefore sees what it would have seen without the interruption, and nothing about the
/// data need be saved.
public protocol ImageSource: Sendable {
    /// A batch.
    ///
    /// - Parameters:
    ///   - number: Which batch, from 0; usually the training step.
    ///   - count: How many images.
    /// - Returns: The images, the same for the same number and count.
    /// - Throws: `WuerstchenError` when no image can be read.
    func batch(_ number: Int, count: Int) throws -> ImageBatch
}
